//! RFC 3261 §14.1: the times to wait after a 491.

use std::time::Duration;

use sip_dialog::{Role, glare};

/// "between 2.1 and 4 seconds" for the owner of the Call-ID, "between 0 and 2 seconds" for the other, "in units of 10 ms".
#[test]
fn who_made_the_call_id_waits_longer_than_the_other() {
    let waits = |role| (0..10_000).map(move |random| glare::wait(role, random));
    let range = |role| (waits(role).min(), waits(role).max());
    let ms = |ms| Some(Duration::from_millis(ms));
    assert_eq!(range(Role::Uac), (ms(2100), ms(4000)));
    assert_eq!(range(Role::Uas), (ms(0), ms(2000)));
    assert!(waits(Role::Uac).all(|wait| wait.as_millis() % 10 == 0));
    assert_eq!(glare::wait(Role::Uas, u32::MAX), glare::wait(Role::Uas, u32::MAX % 201));
}
