//! Whatever happens in whatever order: no panic, no timer forgotten, and an end.

use proptest::prelude::*;
use sip_transaction::drive::drive;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// 64·T1 after the last input each machine has ended and no timer is armed; the other promises are in [`drive`].
    #[test]
    fn any_sequence_of_inputs_ends_in_terminated_after_64_t1_of_silence(
        script in proptest::collection::vec(any::<u8>(), 1..60)
    ) {
        drive(&script);
    }

    /// The ACK is made of our own request; still no octets may bring it down.
    #[test]
    fn an_ack_can_be_made_of_any_octets(octets in "(INVITE sip:b SIP/2.0\r\n)?([vV]ia|Route|:|\r\n|[ \t\",\\\\]|é|CSeq){0,40}") {
        let ack = sip_transaction::ack_for_failure(octets.as_bytes(), &crate::harness::response_to_invite(486));
        prop_assert!(ack.starts_with(b"ACK ") && ack.ends_with(b"\r\n\r\n"));
    }
}

/// All scripts of two inputs, for each machine on each transport.
#[test]
fn every_pair_of_inputs_holds_the_promises() {
    for choice in 0..8 {
        for first in 0..=255 {
            for second in 0..=255 {
                drive(&[choice, first, second]);
            }
        }
    }
}
