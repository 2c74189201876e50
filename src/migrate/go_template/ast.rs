//! The tree of a template. Each action keeps its source, so that what cannot be converted can be shown as written.

/// An action as written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tag {
    /// The text, with its delimiters.
    pub source: String,
    /// The line of its start, from 1.
    pub line: usize,
    /// Whether it removes the white space before it.
    pub trim_left: bool,
    /// Whether it removes the white space after it.
    pub trim_right: bool,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Text that is copied.
    Text(String),
    /// `{{/* text */}}`.
    Comment(Tag, String),
    /// A pipeline that is printed, unless it declares or assigns a variable.
    Action(Tag, Pipe),
    /// `if`, `with` or `range`.
    Control(Box<Control>),
    /// `define`: a template for `template`. It prints nothing.
    Define(Tag),
    /// `template`, or the place of a `block`.
    Call(Tag, String, Option<Pipe>),
    /// `break`.
    Break(Tag),
    /// `continue`.
    Continue(Tag),
}

/// The kind of a control structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyword {
    /// `if`.
    If,
    /// `with`.
    With,
    /// `range`.
    Range,
}

/// A control structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Its first action.
    pub tag: Tag,
    /// Its kind.
    pub keyword: Keyword,
    /// Its pipeline.
    pub pipe: Pipe,
    /// What it contains.
    pub body: Vec<Node>,
    /// The action `else`, and what follows. For `else if` and `else with`, that is one control structure with the same
    /// end.
    pub otherwise: Option<(Tag, Vec<Node>)>,
    /// Its `end`.
    pub end: Tag,
}

/// Commands of which each is the last argument of the next one, and the variables that they set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pipe {
    /// The variables, without `$`.
    pub variables: Vec<String>,
    /// Whether they exist already.
    pub is_assignment: bool,
    /// The commands.
    pub commands: Vec<Vec<Expr>>,
}

/// An operand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// `.`.
    Dot,
    /// `$name`; an empty name for `$`.
    Variable(String),
    /// A function, with the arguments after it in the same command.
    Function(String),
    /// `.a.b`, `$x.a`, `(…).a`.
    Field(Box<Expr>, Vec<String>),
    /// A pipeline in parentheses.
    Pipe(Box<Pipe>),
    /// A string.
    Text(String),
    /// A number as written.
    Number(String),
    /// `true` or `false`.
    Bool(bool),
    /// `nil`.
    Nil,
}
