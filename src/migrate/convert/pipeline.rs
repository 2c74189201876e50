//! Pipelines, operands, conditions and what is printed.

use super::Converter;
use super::value::{Kind, Strength, Value};
use crate::migrate::go_template::ast::{Expr, Pipe};

impl Converter<'_> {
    /// The value of a pipeline.
    pub fn pipeline(&mut self, pipe: &Pipe) -> Result<Value, String> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, last)?);
        }
        last.ok_or_else(|| "it has no value".to_owned())
    }

    fn command(&mut self, command: &[Expr], last: Option<Value>) -> Result<Value, String> {
        let (first, rest) = command.split_first().ok_or("it has no value")?;
        if let Expr::Function(name) = first {
            let mut arguments = Vec::new();
            for expr in rest {
                arguments.push(self.operand(expr)?);
            }
            arguments.extend(last);
            return self.call(name, &arguments);
        }
        if !rest.is_empty() || last.is_some() {
            return Err("values have no methods".to_owned());
        }
        self.operand(first)
    }

    fn operand(&mut self, expr: &Expr) -> Result<Value, String> {
        match expr {
            Expr::Dot => Ok(self.dot.clone()),
            // `$` is what the template is executed with.
            Expr::Variable(name) if name.is_empty() => Ok(Value::atom("", Kind::Root)),
            Expr::Variable(name) => {
                let found = self.scope.iter().rev().find(|it| it.name == *name);
                found.map(|it| it.value.clone()).ok_or_else(|| format!("${name} is not declared"))
            }
            Expr::Function(name) => self.call(name, &[]),
            Expr::Field(base, names) => {
                let base = self.operand(base)?;
                names.iter().try_fold(base, |value, name| self.field(value, name))
            }
            Expr::Pipe(pipe) if !pipe.variables.is_empty() => Err("a variable is declared in parentheses".to_owned()),
            Expr::Pipe(pipe) => self.pipeline(pipe),
            Expr::Text(text) => Ok(Value::literal(text)),
            Expr::Number(text) => number(text),
            Expr::Bool(yes) => Ok(Value::new(yes.to_string(), Strength::Closed, Kind::Bool)),
            Expr::Nil => Err("nil has no counterpart".to_owned()),
        }
    }

    /// Code to which a field or an index can be added.
    pub fn base(&mut self, value: &Value) -> String {
        if value.strength == Strength::Atom {
            return value.code.clone();
        }
        let name = self.local("value");
        self.prelude.push(format!("% set {name} = {} %", value.code));
        name
    }

    /// The code of a value as a condition.
    pub fn tested(&mut self, value: &Value) -> Result<String, String> {
        if matches!(value.kind, Kind::Groups(_) | Kind::Root) {
            return Err("this cannot be a condition".to_owned());
        }
        if let Some(roster) = &value.roster {
            self.site.may_be_empty(roster);
        }
        Ok(value.condition())
    }
}

/// A number as Tera writes it.
fn number(text: &str) -> Result<Value, String> {
    let plain = text.replace('_', "").to_lowercase();
    let (sign, digits) = plain.strip_prefix('-').map_or(("", plain.trim_start_matches('+')), |digits| ("-", digits));
    let radix = [("0x", 16), ("0b", 2), ("0o", 8)].into_iter().find(|(mark, _)| digits.starts_with(mark));
    let octal = digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    let whole = match radix {
        Some((mark, radix)) => i64::from_str_radix(&digits[mark.len()..], radix).ok(),
        None if octal => i64::from_str_radix(digits, 8).ok(),
        None => digits.parse().ok(),
    };
    let code = match (whole, digits.parse::<f64>()) {
        (Some(whole), _) => format!("{sign}{whole}"),
        (None, Ok(number)) if number.is_finite() && number.fract() != 0.0 => format!("{sign}{number}"),
        _ => return Err(format!("the number {text} has no counterpart")),
    };
    let strength = if sign.is_empty() { Strength::Closed } else { Strength::Operator };
    Ok(Value::new(code, strength, Kind::Number))
}
