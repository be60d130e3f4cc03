//! A short message authentication code: SipHash-2-4 (Aumasson and Bernstein, 2012), a keyed function built for short
//! inputs whose outputs cannot be guessed without the key.
//!
//! It keeps what we write into URIs that others carry (Record-Route, Path, GRUU) from being made up. 64 bits are enough
//! here: a forger has to try on line, one request a guess.

/// A code in the making.
#[derive(Clone, Debug)]
pub struct Mac {
    v: [u64; 4],
    /// Octets that do not fill a word yet.
    tail: u64,
    length: u64,
}

impl Mac {
    /// A code with this key, for one purpose, so that none serves as another.
    pub fn new(key: [u64; 2], purpose: u64) -> Mac {
        let mut mac = Mac::keyed(key[0], key[1]);
        mac.write(&purpose.to_le_bytes());
        mac
    }

    fn keyed(k0: u64, k1: u64) -> Mac {
        Mac {
            v: [
                k0 ^ 0x736f_6d65_7073_6575,
                k1 ^ 0x646f_7261_6e64_6f6d,
                k0 ^ 0x6c79_6765_6e65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
            tail: 0,
            length: 0,
        }
    }

    /// Adds octets.
    pub fn write(&mut self, octets: &[u8]) {
        let mut octets = octets;
        // Up to the next full word, octet by octet.
        while !self.length.is_multiple_of(8) && !octets.is_empty() {
            self.push(octets[0]);
            octets = &octets[1..];
        }
        let mut words = octets.chunks_exact(8);
        for word in &mut words {
            let word = u64::from_le_bytes(word.try_into().expect("chunks_exact gives eight octets"));
            self.length = self.length.wrapping_add(8);
            self.compress(word);
        }
        for octet in words.remainder() {
            self.push(*octet);
        }
    }

    /// Adds a text and what sets it apart from the next one: `("ab", "c")` is not `("a", "bc")`.
    pub fn text(&mut self, text: &str) {
        self.write(text.as_bytes());
        self.push(0xff);
    }

    /// The code.
    pub fn finish(mut self) -> u64 {
        let last = self.tail | (self.length & 0xff) << 56;
        self.compress(last);
        self.v[2] ^= 0xff;
        for _ in 0..4 {
            self.round();
        }
        self.v.iter().fold(0, |code, v| code ^ v)
    }

    fn push(&mut self, octet: u8) {
        self.tail |= u64::from(octet) << (8 * (self.length % 8));
        self.length = self.length.wrapping_add(1);
        if self.length.is_multiple_of(8) {
            let word = std::mem::take(&mut self.tail);
            self.compress(word);
        }
    }

    fn compress(&mut self, word: u64) {
        self.v[3] ^= word;
        self.round();
        self.round();
        self.v[0] ^= word;
    }

    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.v;
        a = a.wrapping_add(b);
        c = c.wrapping_add(d);
        b = b.rotate_left(13) ^ a;
        d = d.rotate_left(16) ^ c;
        a = a.rotate_left(32);
        c = c.wrapping_add(b);
        a = a.wrapping_add(d);
        b = b.rotate_left(17) ^ c;
        d = d.rotate_left(21) ^ a;
        c = c.rotate_left(32);
        self.v = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the paper's appendix A: key 00..0f, input 00..0e.
    #[test]
    fn the_paper_s_example_comes_out() {
        let mut mac = Mac::keyed(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        mac.write(&(0u8..15).collect::<Vec<_>>());
        assert_eq!(mac.finish(), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn pieces_of_any_length_make_the_same_code() {
        let text: Vec<u8> = (0u8..40).collect();
        let mut whole = Mac::keyed(1, 2);
        whole.write(&text);
        for cut in 0..text.len() {
            let mut pieces = Mac::keyed(1, 2);
            pieces.write(&text[..cut]);
            pieces.write(&text[cut..]);
            assert_eq!(pieces.finish(), whole.clone().finish());
        }
    }

    #[test]
    fn texts_do_not_run_into_each_other_and_purposes_differ() {
        let code = |purpose, texts: &[&str]| {
            let mut mac = Mac::new([7, 9], purpose);
            texts.iter().for_each(|text| mac.text(text));
            mac.finish()
        };
        assert_ne!(code(1, &["ab", "c"]), code(1, &["a", "bc"]));
        assert_ne!(code(1, &["ab"]), code(2, &["ab"]));
    }
}
