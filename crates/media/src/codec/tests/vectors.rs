//! The ITU-T's own sweeps and speech. They may not be copied here; without them these tests say so and pass.

use super::super::g722::{G722Decoder, G722Encoder};
use super::super::waveform::Expand;
use super::super::{Encoder, g711};
use std::path::{Path, PathBuf};

fn vectors(folder: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("CORDBOARD_VECTORS") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
    };
    let path = root.join(folder);
    if !path.is_dir() {
        eprintln!("SKIPPED: {} is missing", path.display());
        return None;
    }
    Some(path)
}

/// Words with the low octet first.
fn words(path: &Path) -> Vec<i16> {
    let octets = std::fs::read(path).unwrap();
    octets.as_chunks().0.iter().map(|&word| i16::from_le_bytes(word)).collect()
}

/// All 65,536 samples, to and fro.
#[test]
fn g711_is_exact() {
    let Some(folder) = vectors("g711") else { return };
    let word = |name: &str| words(&folder.join(name));
    let source = word("sweep.src");
    assert_eq!(source.len(), 1 << 16);
    let encoded = |code: fn(i16) -> u8| source.iter().map(|&s| code(s).into()).collect::<Vec<i16>>();
    assert!(encoded(g711::a_law) == word("sweep-r.a"));
    assert!(encoded(g711::mu_law) == word("sweep-r.u"));
    let both = |sample: fn(u8) -> i16, code: fn(i16) -> u8| source.iter().map(|&s| sample(code(s))).collect::<Vec<_>>();
    assert!(both(g711::from_a_law, g711::a_law) == word("sweep-r.rea"));
    assert!(both(g711::from_mu_law, g711::mu_law) == word("sweep-r.reu"));
}

/// Six seconds of speech and noise.
#[test]
fn g722_is_exact() {
    let Some(folder) = vectors("g722") else { return };
    let source = words(&folder.join("inpsp.bin"));
    let codes: Vec<u8> = words(&folder.join("codspw.cod")).into_iter().map(|word| word as u8).collect();
    let mut encoded = Vec::new();
    G722Encoder::default().encode(&source, &mut encoded).unwrap();
    let differing = encoded.iter().zip(&codes).filter(|(ours, theirs)| ours != theirs).count();
    assert_eq!((encoded.len(), differing), (codes.len(), 0));
    let mut decoded = Vec::new();
    G722Decoder::default().expand(&codes, &mut decoded);
    let expected = words(&folder.join("outsp1.bin"));
    let differing = decoded.iter().zip(&expected).filter(|(ours, theirs)| ours != theirs).count();
    assert_eq!((decoded.len(), differing), (expected.len(), 0));
}
