//! The attributes of a session: few, in the order in which they were first bound.

use std::rc::Rc;

use servlet::AttributeValue;

/// See the module's text. Most sessions have none, and every session has this field.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes(Option<Box<Bound>>);

type Bound = Vec<(Rc<str>, AttributeValue)>;

impl Attributes {
    pub(crate) fn get(&self, name: &str) -> Option<AttributeValue> {
        let (_, value) = self.0.as_ref()?.iter().find(|(known, _)| &**known == name)?;
        Some(value.clone())
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().flat_map(|all| all.iter()).map(|(name, _)| name.to_string()).collect()
    }

    /// Binds a value; gives the name as it is kept, and what was bound before.
    pub(crate) fn set(&mut self, name: &str, value: AttributeValue) -> (Rc<str>, Option<AttributeValue>) {
        let all = self.0.get_or_insert_default();
        match all.iter_mut().find(|(known, _)| &**known == name) {
            Some((known, present)) => (Rc::clone(known), Some(std::mem::replace(present, value))),
            None => {
                let name: Rc<str> = name.into();
                all.push((Rc::clone(&name), value));
                (name, None)
            }
        }
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<(Rc<str>, AttributeValue)> {
        let all = self.0.as_mut()?;
        let place = all.iter().position(|(known, _)| &**known == name)?;
        Some(all.remove(place))
    }

    /// Takes out the one that was bound last.
    pub(crate) fn pop(&mut self) -> Option<(Rc<str>, AttributeValue)> {
        let popped = self.0.as_mut()?.pop();
        if popped.is_none() {
            self.0 = None;
        }
        popped
    }
}
