//! A deployment descriptor is read, or refused at a place in it; one that is read is bounded and reads again as itself.
#![no_main]

use container::routing::rules::{MAX_DEPTH, Rule, Variable};
use container::routing::sip_xml::{ServletSelection, SipXml};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let descriptor = match SipXml::parse(text) {
        Ok(descriptor) => descriptor,
        Err(error) => {
            let line = usize::try_from(error.line).expect("a line is smaller than the address space");
            assert!((1..=text.split('\n').count()).contains(&line), "the mistake is in the text");
            assert!(!error.to_string().contains(['\r', '\n']), "an error is one line");
            return;
        }
    };
    assert!(!descriptor.app_name.is_empty(), "an application has a name");
    assert_eq!(SipXml::parse(text).as_ref(), Ok(&descriptor));
    if let Some(ServletSelection::Mappings(mappings)) = &descriptor.selection {
        assert!(!mappings.is_empty());
        mappings.iter().for_each(|mapping| check(&mapping.pattern, 1));
    }
});

/// Conditions are bounded, and a variable is the one that its path names.
fn check(rule: &Rule, depth: usize) {
    assert!(depth <= MAX_DEPTH);
    match rule {
        Rule::And(rules) | Rule::Or(rules) => {
            assert!(!rules.is_empty());
            rules.iter().for_each(|rule| check(rule, depth + 1));
        }
        Rule::Not(rule) => check(rule, depth + 1),
        Rule::Equal { var, .. } | Rule::Contains { var, .. } | Rule::Exists { var } | Rule::SubdomainOf { var, .. } => {
            assert_eq!(Variable::parse(&var.to_string()).as_ref(), Ok(var));
        }
    }
}
