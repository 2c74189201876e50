//! Hides the values of some keys from those who may only read.

use glob::{MatchOptions, Pattern};

use crate::jones::entry::Entry;
use crate::jones::json::{self, Json, Object};
use crate::jones::store::history::Recorded;
use crate::jones::tree::{Node, Tree};

#[cfg(test)]
mod tests;

/// What is shown in place of a value.
const HIDDEN: &str = "********";

/// How keys are compared: in any case.
const ANY_CASE: MatchOptions =
    MatchOptions { case_sensitive: false, require_literal_separator: false, require_literal_leading_dot: false };

/// The keys whose values are hidden, at any depth.
#[derive(Debug, Clone, Copy)]
pub struct Mask<'a>(pub &'a [Pattern]);

impl Mask<'_> {
    /// An object without the hidden values.
    fn object(self, object: &mut Object) {
        for (key, value) in object {
            if self.0.iter().any(|pattern| pattern.matches_with(key, ANY_CASE)) {
                *value = HIDDEN.into();
            } else {
                self.value(value);
            }
        }
    }

    fn value(self, value: &mut Json) {
        match value {
            Json::Object(object) => self.object(object),
            Json::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            _ => {}
        }
    }

    fn node(self, node: &mut Node) {
        node.data = match &mut node.object {
            Ok(object) => {
                self.object(object);
                json::bytes(object).into()
            }
            // What cannot be parsed may have such a key.
            Err(why) => {
                "it is not a JSON object, and hidden from viewers".clone_into(why);
                Vec::new().into()
            }
        };
    }

    /// Hides the values in a service.
    pub fn tree(self, tree: &mut Tree) {
        let nodes = tree.envs.values_mut().flat_map(|nodes| [Some(&mut nodes.conf), nodes.view.as_mut()]).flatten();
        nodes.for_each(|node| self.node(node));
        // Records of associations are paths.
        let service = tree.service.path();
        for (path, node) in &mut tree.frozen {
            if node.object.is_ok() || service.segments_below(path.as_str()).is_some() {
                self.node(node);
            }
        }
    }

    /// Hides the values in an entry of the history.
    pub fn recorded(self, recorded: &mut Recorded) {
        let Ok(Entry { changes, .. }) = &mut recorded.entry else { return };
        for change in changes {
            let before = change.before.as_mut().and_then(|before| before.conf.as_mut());
            before.into_iter().chain(change.after.as_mut()).for_each(|object| self.object(object));
        }
    }
}
