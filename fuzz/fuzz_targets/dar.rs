//! A file of the default application router is read, or refused at a place in it; its rows are visited in their order.
#![no_main]

use container::routing::dar::DarTable;
use libfuzzer_sys::fuzz_target;
use sip_message::Method;

fuzz_target!(|text: &str| {
    let table = match DarTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let line = usize::try_from(error.line).expect("a line is smaller than the address space");
            assert!((1..=text.split(['\r', '\n']).count()).contains(&line), "the mistake is in the text");
            assert!(!error.to_string().contains(['\r', '\n']), "an error is one line");
            return;
        }
    };
    let any = table.rows_for(&Method::Other("NOBODY".into()));
    let methods = table.methods();
    for method in methods {
        let rows = table.rows_for(method);
        let own = rows.strip_suffix(any).expect("a method's rows end with those for any");
        assert!(!own.is_empty() && own.is_sorted_by_key(|row| row.order));
    }
    assert!(any.is_sorted_by_key(|row| row.order) || table.methods().any(|method| method.as_str() == "NOBODY"));
});
