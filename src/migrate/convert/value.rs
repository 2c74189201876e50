//! What an expression of a Go template becomes: code in Tera, and what is known about its value.

/// How tightly the code of a value binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// An operator outside of parentheses.
    Operator,
    /// A filter.
    Filtered,
    /// Anything that may be followed by `.field` or `[index]`.
    Atom,
    /// A literal, or an expression in parentheses.
    Closed,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Not known.
    Unknown,
    /// The data that a template is executed with: nothing.
    Root,
    /// A string.
    Text,
    /// A number.
    Number,
    /// A boolean.
    Bool,
    /// Any value of JSON.
    Json,
    /// An object of JSON.
    Map,
    /// A list.
    List(Box<Kind>),
    /// A key with its value: a member. The path of its directory.
    Pair(Vec<Part>),
    /// An instance of a service: a member. The name of the service.
    Instance(Vec<Part>),
    /// A service of the catalog, as its name.
    Service,
    /// Keys below several directories.
    Groups(Box<Groups>),
}

/// The keys that match a pattern with a wildcard in one of its directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// The roster, a map.
    pub roster: String,
    /// The path before the directory, and after it.
    pub around: (String, String),
    /// The pattern of the name; all if `None`.
    pub name: Option<Vec<Part>>,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Known text.
    Literal(String),
    /// Code, and the roster of whose keys it is one.
    Hole(String, Option<String>),
}

/// How the data of a node is parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// It is not the data of a node.
    Unknown,
    /// By this code.
    Code(String, Strength),
    /// By a `[[key]]` of this path.
    Node(String),
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The code.
    pub code: String,
    /// How tightly it binds.
    pub strength: Strength,
    /// What it is.
    pub kind: Kind,
    /// A text in parts, where they are known.
    pub parts: Option<Vec<Part>>,
    /// How it is parsed as JSON.
    pub parsed: Parsed,
    /// Other code for a condition.
    pub truth: Option<String>,
    /// The roster whose members these are.
    pub roster: Option<String>,
}

impl Value {
    pub fn new(code: impl Into<String>, strength: Strength, kind: Kind) -> Self {
        let code = code.into();
        Self { code, strength, kind, parts: None, parsed: Parsed::Unknown, truth: None, roster: None }
    }

    pub fn atom(code: impl Into<String>, kind: Kind) -> Self {
        Self::new(code, Strength::Atom, kind)
    }

    pub fn operator(code: impl Into<String>, kind: Kind) -> Self {
        Self::new(code, Strength::Operator, kind)
    }

    /// A literal string.
    pub fn literal(text: &str) -> Self {
        let parts = Some(vec![Part::Literal(text.to_owned())]);
        Self { parts, ..Self::new(quoted(text), Strength::Closed, Kind::Text) }
    }

    /// A text of parts.
    pub fn text(parts: Vec<Part>) -> Self {
        let parts = merged(parts);
        let codes: Vec<String> = parts.iter().map(Part::code).collect();
        let value = match &parts[..] {
            [] => return Self::literal(""),
            [Part::Literal(text)] => return Self::literal(text),
            [Part::Hole(code, _)] if is_path(code) => Self::atom(code, Kind::Text),
            _ => Self::operator(codes.join(" ~ "), Kind::Text),
        };
        Self { parts: Some(parts), ..value }
    }

    /// The text, if it is known.
    pub fn known(&self) -> Option<&str> {
        match self.parts.as_deref() {
            Some([Part::Literal(text)]) => Some(text),
            _ => None,
        }
    }

    /// The parts of a text; the code itself if there are none.
    pub fn into_parts(self) -> Vec<Part> {
        let hole = self.operand();
        self.parts.unwrap_or_else(|| vec![Part::Hole(hole, None)])
    }

    /// The code as an operand, or as the input of a filter.
    pub fn operand(&self) -> String {
        if self.strength == Strength::Operator { format!("({})", self.code) } else { self.code.clone() }
    }

    /// The code, to be printed.
    pub fn printed(&self) -> Result<String, String> {
        match &self.kind {
            Kind::Text | Kind::Number | Kind::Bool | Kind::Json | Kind::Unknown => Ok(self.code.clone()),
            Kind::Root => Err("there is no data outside of a block".to_owned()),
            _ => Err("a list or an object would be printed in Go's notation".to_owned()),
        }
    }

    /// The code as a condition.
    pub fn condition(&self) -> String {
        self.truth.clone().unwrap_or_else(|| self.code.clone())
    }

    /// The condition as an operand of another one.
    pub fn condition_operand(&self) -> String {
        match &self.truth {
            Some(truth) if !is_path(truth) => format!("({truth})"),
            Some(truth) => truth.clone(),
            None => self.operand(),
        }
    }

    /// This value through a filter.
    pub fn filtered(&self, filter: &str, kind: Kind) -> Self {
        Self::new(format!("{} | {filter}", self.operand()), Strength::Filtered, kind)
    }
}

impl Part {
    /// The part as code.
    pub fn code(&self) -> String {
        match self {
            Self::Literal(text) => quoted(text),
            Self::Hole(code, _) => code.clone(),
        }
    }
}

/// Joins literals that follow each other.
fn merged(parts: Vec<Part>) -> Vec<Part> {
    let mut out: Vec<Part> = Vec::new();
    for part in parts {
        match (out.last_mut(), part) {
            (_, Part::Literal(text)) if text.is_empty() => {}
            (Some(Part::Literal(before)), Part::Literal(text)) => before.push_str(&text),
            (_, part) => out.push(part),
        }
    }
    out
}

/// A string of Tera.
pub fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
    format!("\"{}\"", escaped.replace('\r', "\\r"))
}

/// Whether code is only a variable with fields and literal indexes, which has no cost and no effect.
pub fn is_path(code: &str) -> bool {
    code.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && code.chars().all(|c| c.is_ascii_alphanumeric() || "_.[]\"-".contains(c))
}
