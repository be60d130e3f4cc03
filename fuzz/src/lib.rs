//! What the fuzz targets share: reading a fuzzer's octets as a script.

/// Steps of a story, out of octets: each step is a letter and the text behind it, up to the next record separator.
///
/// Seeds stay readable that way, and the fuzzer learns to swap, drop and repeat whole steps.
pub fn steps(script: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    const RECORD_SEPARATOR: u8 = 0x1e;
    script
        .split(|&octet| octet == RECORD_SEPARATOR)
        .filter_map(|step| step.split_first())
        .map(|(&letter, text)| (letter, text))
}
