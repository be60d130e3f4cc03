//! AES in counter mode (RFC 3711 §4.1.1), the key schedule kept.

use aes::cipher::{Array, BlockCipherEncrypt, KeyInit, consts::U16};
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};

/// Blocks of keystream that are made at a time: as many as the processor encrypts in parallel. A packet of 20 ms of
/// G.711 has ten.
const BATCH: usize = 8;

/// A cipher ready for packets.
pub(super) enum CounterMode {
    Aes128(Aes128Enc),
    Aes192(Aes192Enc),
    Aes256(Aes256Enc),
}

impl CounterMode {
    /// The length of the key decides the cipher: 16, 24 or 32 octets.
    pub(super) fn new(key: &[u8]) -> CounterMode {
        const LENGTH: &str = "profiles have keys of these lengths only, and keys are checked by them";
        match key.len() {
            16 => CounterMode::Aes128(Aes128Enc::new_from_slice(key).expect(LENGTH)),
            24 => CounterMode::Aes192(Aes192Enc::new_from_slice(key).expect(LENGTH)),
            _ => CounterMode::Aes256(Aes256Enc::new_from_slice(key).expect(LENGTH)),
        }
    }

    /// Encrypts or decrypts in place, beginning with the keystream of `counter`.
    pub(super) fn apply(&self, counter: [u8; 16], octets: &mut [u8]) {
        match self {
            CounterMode::Aes128(cipher) => apply(cipher, counter, octets),
            CounterMode::Aes192(cipher) => apply(cipher, counter, octets),
            CounterMode::Aes256(cipher) => apply(cipher, counter, octets),
        }
    }
}

fn apply(cipher: &impl BlockCipherEncrypt<BlockSize = U16>, counter: [u8; 16], octets: &mut [u8]) {
    let mut counter = u128::from_be_bytes(counter);
    let mut keystream = [Array::<u8, U16>::default(); BATCH];
    for chunk in octets.chunks_mut(16 * BATCH) {
        let blocks = &mut keystream[..chunk.len().div_ceil(16)];
        for block in blocks.iter_mut() {
            block.copy_from_slice(&counter.to_be_bytes());
            counter = counter.wrapping_add(1);
        }
        cipher.encrypt_blocks(blocks);
        for (block, keystream) in chunk.chunks_mut(16).zip(blocks.iter()) {
            for (octet, key) in block.iter_mut().zip(keystream) {
                *octet ^= key;
            }
        }
    }
}
