//! The macro that declares events, with their names, severities, messages and fields.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::model::node_path::NodePath;
use crate::model::quarantine::Quarantine;
use crate::model::version::Zxid;
use crate::payload::{Format, NotAMember};

/// How serious an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A detail: not logged by default, and not passed to subscribers.
    Debug,
    /// Normal operation.
    Info,
    /// Something may need attention.
    Warn,
    /// Something failed.
    Error,
}

/// The properties of a kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The stable name: `file_written`.
    pub name: &'static str,
    /// How serious it is.
    pub severity: Severity,
    /// The constant message.
    pub message: &'static str,
    /// The names of the fields, in order.
    pub fields: &'static [&'static str],
}

/// A type of field.
pub trait Field {
    /// The value as JSON; null for none.
    fn value(&self) -> Value;
}

/// A number that is logged in hexadecimal, such as a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hex(pub u64);

impl Field for Hex {
    fn value(&self) -> Value {
        Value::from(format!("{:016x}", self.0))
    }
}

/// The number of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionNumber(pub i64);

impl Field for SessionNumber {
    fn value(&self) -> Value {
        Value::from(format!("{:#x}", self.0))
    }
}

impl Field for Zxid {
    fn value(&self) -> Value {
        Value::from(format!("{:#x}", self.0))
    }
}

impl Field for PathBuf {
    fn value(&self) -> Value {
        Value::from(self.display().to_string())
    }
}

impl<T: Field> Field for Option<T> {
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Null, Field::value)
    }
}

impl<T: Field> Field for Vec<T> {
    fn value(&self) -> Value {
        self.iter().map(Field::value).collect()
    }
}

macro_rules! fields {
    ($method:ident: $($type:ty),*) => {
        $(impl Field for $type {
            fn value(&self) -> Value {
                Value::from(self.$method())
            }
        })*
    };
}

fields!(clone: bool, i32, u8, u32, u64, usize);
fields!(to_string: &'static str, Arc<str>, String, NodePath, Format, NotAMember, Quarantine);

/// Declares the events: `Variant = name Severity "message" { field: Type, … }`.
macro_rules! events {
    ($($variant:ident = $name:ident $severity:ident $message:literal { $($field:ident: $type:ty),* $(,)? })*) => {
        /// An event. The table in `docs/operations.md` describes each one.
        #[allow(missing_docs, clippy::doc_markdown, reason = "docs/operations.md has a table of the fields")]
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Event {
            $(#[doc = $message] $variant { $($field: $type),* },)*
        }

        impl Event {
            /// Every kind of event.
            pub const KINDS: &[Kind] = &[$(Kind {
                name: stringify!($name),
                severity: Severity::$severity,
                message: $message,
                fields: &[$(stringify!($field)),*],
            }),*];

            /// The kind of the event.
            pub fn kind(&self) -> &'static Kind {
                match self {
                    $(Self::$variant { .. } => &Kind {
                        name: stringify!($name),
                        severity: Severity::$severity,
                        message: $message,
                        fields: &[$(stringify!($field)),*],
                    },)*
                }
            }

            /// The fields, in order. A field without a value is null.
            pub fn fields(&self) -> Vec<(&'static str, Value)> {
                match self {
                    $(Self::$variant { $($field),* } => vec![$((stringify!($field), Field::value($field))),*],)*
                }
            }
        }
    };
}

pub(crate) use events;
