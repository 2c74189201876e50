//! Interpolates `{{ vars.x }}`, `{{ host.name }}` and `{{ env.X }}` when the configuration is read.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::problem::ValueError;

#[cfg(test)]
mod tests;

/// The variables that can be interpolated.
#[derive(Debug, Clone, Copy)]
pub struct Interpolation<'a> {
    /// `[vars]`.
    pub vars: &'a Map<String, Value>,
    /// The environment.
    pub env: &'a BTreeMap<String, String>,
    /// The name of this host.
    pub host_name: &'a str,
    /// Whether `{{ key }}` is kept, to be substituted for each file.
    pub keeps_key: bool,
}

impl Interpolation<'_> {
    /// Interpolates a text. An error has the part of the text that it is about.
    pub fn fill(&self, text: &str) -> Result<String, (String, ValueError)> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(open) = rest.find("{{") {
            let (before, after) = rest.split_at(open);
            let Some(close) = after.find("}}") else {
                let wrong = ValueError::new("`{{` is not closed", "write }} after the variable");
                return Err((after.to_owned(), wrong));
            };
            out.push_str(before);
            let part = &after[..close + 2];
            out.push_str(&self.variable(part[2..close].trim()).map_err(|wrong| (part.to_owned(), wrong))?);
            rest = &after[close + 2..];
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Replaces `{{ env.X }}` in a value of `[vars]`. Other text in braces stays: it may be for another program.
    pub fn fill_environment(&self, text: &str) -> Result<String, (String, ValueError)> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            out.push_str(before);
            let inner = after.split_once("}}").filter(|(name, _)| name.trim().starts_with("env."));
            if let Some((name, after)) = inner {
                let value = self.variable(name.trim());
                out.push_str(&value.map_err(|wrong| (format!("{{{{{name}}}}}"), wrong))?);
                rest = after;
            } else {
                out.push_str("{{");
                rest = after;
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    /// The value of a variable as text.
    fn variable(&self, name: &str) -> Result<String, ValueError> {
        if name == "key" && self.keeps_key {
            return Ok("{{ key }}".to_owned());
        }
        if name == "host.name" {
            return Ok(self.host_name.to_owned());
        }
        if let Some(key) = name.strip_prefix("env.") {
            let hint = format!("set {key} in rosterd's own environment, or write the value here");
            return self.env.get(key).cloned().ok_or_else(|| ValueError::new(format!("${key} is not set"), hint));
        }
        let Some(path) = name.strip_prefix("vars.") else {
            return Err(ValueError::new(
                format!("`{name}` is not available in the configuration"),
                "only {{ vars.NAME }}, {{ host.name }} and {{ env.NAME }} are available",
            ));
        };
        let mut segments = path.split('.');
        let first = segments.next().and_then(|key| self.vars.get(key));
        match segments.fold(first, |value, key| value.and_then(|value| value.get(key))) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
            Some(_) => {
                Err(ValueError::new(format!("`{name}` is a list or a table"), "use a string, a number or a boolean"))
            }
            None => {
                let known: Vec<&str> = self.vars.keys().map(String::as_str).collect();
                let hint = if known.is_empty() {
                    format!("set it under [vars]: {path} = \"…\"")
                } else {
                    format!("[vars] has {}", known.join(", "))
                };
                Err(ValueError::new(format!("`{name}` is not set"), hint))
            }
        }
    }
}
