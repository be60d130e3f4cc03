//! Any order of inputs: a transaction machine keeps its promises and comes to an end (RFC 3261 §17, RFC 6026).
#![no_main]

use libfuzzer_sys::fuzz_target;
use sip_transaction::drive;

fuzz_target!(|script: &[u8]| drive::drive(script));
