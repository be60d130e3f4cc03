//! `servlet-selection`, `servlet-mapping` and the rules in them, JSR 289 §16.2.

use super::{Element, Result, SipXmlMistake};
use crate::routing::rules::{MAX_DEPTH, Rule, Variable};
use crate::routing::sip_xml::ServletMapping;

/// What has been said so far about which servlet is chosen.
#[derive(Default)]
pub(super) struct Selection {
    pub(super) main: Option<String>,
    pub(super) mappings: Vec<ServletMapping>,
}

impl Selection {
    /// `servlet-selection`.
    pub(super) fn selection(&mut self, element: &Element) -> Result {
        if element.elements()?.is_empty() {
            return Err(element.missing("a main-servlet or servlet-mappings"));
        }
        for child in &element.children {
            match child.name.as_str() {
                "main-servlet" => {
                    child.once(&mut self.main, child.text("a servlet's name")?)?;
                    self.check(child)?;
                }
                "servlet-mapping" => self.mapping(child)?,
                _ => return Err(child.unknown(element)),
            }
        }
        Ok(())
    }

    /// `servlet-mapping`, in `servlet-selection` or, in 1.0, in `sip-app`.
    pub(super) fn mapping(&mut self, element: &Element) -> Result {
        let (mut servlet, mut pattern) = (None, None);
        for child in element.elements()? {
            match child.name.as_str() {
                "servlet-name" => child.once(&mut servlet, child.text("a servlet's name")?)?,
                "pattern" => child.once(&mut pattern, only_rule(child, 1)?)?,
                "description" | "display-name" => {}
                _ => return Err(child.unknown(element)),
            }
        }
        let servlet = servlet.ok_or_else(|| element.missing("a servlet-name"))?;
        let pattern = pattern.ok_or_else(|| element.missing("a pattern"))?;
        self.mappings.push(ServletMapping { servlet, pattern });
        self.check(element)
    }

    fn check(&self, element: &Element) -> Result {
        match self.main {
            Some(_) if !self.mappings.is_empty() => Err(element.error(SipXmlMistake::MainServletAndMapping)),
            _ => Ok(()),
        }
    }
}

/// The one condition in `pattern` or `not`.
fn only_rule(element: &Element, depth: usize) -> Result<Rule> {
    match element.elements()? {
        [only] => rule(only, element, depth),
        [] => Err(element.missing("a condition")),
        [_, second, ..] => {
            Err(second.error(SipXmlMistake::Twice(format!("a condition in {}, which has one", element.name))))
        }
    }
}

fn rule(element: &Element, inside: &Element, depth: usize) -> Result<Rule> {
    if depth > MAX_DEPTH {
        return Err(element.error(SipXmlMistake::TooDeep(MAX_DEPTH)));
    }
    match element.name.as_str() {
        "and" => Ok(Rule::And(rules(element, depth + 1)?)),
        "or" => Ok(Rule::Or(rules(element, depth + 1)?)),
        "not" => Ok(Rule::Not(Box::new(only_rule(element, depth + 1)?))),
        "equal" => {
            let (var, value) = operands(element)?;
            Ok(Rule::Equal { var, value, ignore_case: ignore_case(element)? })
        }
        "contains" => {
            let (var, value) = operands(element)?;
            Ok(Rule::Contains { var, value, ignore_case: ignore_case(element)? })
        }
        "subdomain-of" => {
            let (var, value) = operands(element)?;
            Ok(Rule::SubdomainOf { var, value })
        }
        "exists" => {
            let mut var = None;
            for child in element.elements()? {
                match child.name.as_str() {
                    "var" => child.once(&mut var, variable(child)?)?,
                    _ => return Err(child.unknown(element)),
                }
            }
            Ok(Rule::Exists { var: var.ok_or_else(|| element.missing("a var"))? })
        }
        _ => Err(element.unknown(inside)),
    }
}

fn rules(element: &Element, depth: usize) -> Result<Vec<Rule>> {
    match element.elements()? {
        [] => Err(element.missing("at least one condition")),
        some => some.iter().map(|child| rule(child, element, depth)).collect(),
    }
}

/// `var` and `value`, in either order.
fn operands(element: &Element) -> Result<(Variable, String)> {
    let (mut var, mut value) = (None, None);
    for child in element.elements()? {
        match child.name.as_str() {
            "var" => child.once(&mut var, variable(child)?)?,
            "value" => child.once(&mut value, child.any_text()?.to_owned())?,
            _ => return Err(child.unknown(element)),
        }
    }
    let var = var.ok_or_else(|| element.missing("a var"))?;
    let value = value.ok_or_else(|| element.missing("a value"))?;
    Ok((var, value))
}

fn variable(element: &Element) -> Result<Variable> {
    let path = element.text("a path such as request.uri.host")?;
    Variable::parse(&path).map_err(|error| element.error(SipXmlMistake::Variable(error)))
}

fn ignore_case(element: &Element) -> Result<bool> {
    match element.attribute("ignore-case").map(str::trim) {
        None | Some("false" | "0") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(found) => Err(element.error(SipXmlMistake::Value {
            element: "ignore-case".to_owned(),
            expected: "true or false",
            found: found.to_owned(),
        })),
    }
}
