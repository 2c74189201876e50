//! Go's text/template, the language of the templates of confd and consul-template, as a tree.

pub mod ast;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;

pub use parser::parse;

use std::fmt;

/// How deeply blocks and parentheses may be nested.
const MAX_DEPTH: usize = 100;

/// Why a template cannot be parsed, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl SyntaxError {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
