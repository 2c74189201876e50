//! `printf`, `print` and `println`.

use super::value::{Kind, Part, Value};

/// `printf`: a format and its arguments.
pub fn printf(arguments: &[Value]) -> Result<Value, String> {
    let (format, rest) = arguments.split_first().ok_or("printf has no format")?;
    let format = format.known().ok_or("the format of printf is not a literal")?;
    let mut values = rest.iter();
    let mut parts = Vec::new();
    let mut pieces = format.split('%');
    parts.push(Part::Literal(pieces.next().unwrap_or_default().to_owned()));
    while let Some(piece) = pieces.next() {
        let Some(verb) = piece.chars().next() else {
            // `%%`.
            let after = pieces.next().ok_or("the format of printf ends with %")?;
            parts.push(Part::Literal(format!("%{after}")));
            continue;
        };
        let value = values.next().ok_or("printf has too few arguments")?;
        parts.extend(formatted(verb, value)?);
        parts.push(Part::Literal(piece[verb.len_utf8()..].to_owned()));
    }
    if values.next().is_some() {
        return Err("printf has too many arguments".to_owned());
    }
    Ok(Value::text(parts))
}

/// A value as a verb of `printf` writes it.
fn formatted(verb: char, value: &Value) -> Result<Vec<Part>, String> {
    let kinds = match verb {
        's' => [Kind::Text, Kind::Unknown, Kind::Json],
        'd' => [Kind::Number, Kind::Unknown, Kind::Number],
        'v' => return value.printed().map(|_| value.clone().into_parts()),
        'q' => {
            let code = value.filtered("json", Kind::Text).code;
            return value.printed().map(|_| vec![Part::Hole(code, None)]);
        }
        _ => return Err(format!("printf's %{verb} has no counterpart")),
    };
    if !kinds.contains(&value.kind) {
        return Err(format!("printf's %{verb} of this value has no counterpart"));
    }
    Ok(value.clone().into_parts())
}

/// `print` and `println`. Without `line`, there is a space only between two values that are not text.
pub fn print(values: &[Value], line: bool) -> Result<Value, String> {
    let mut parts = Vec::new();
    for (at, value) in values.iter().enumerate() {
        value.printed()?;
        let plain = |value: &Value| value.kind != Kind::Text;
        if at > 0 && (line || (plain(value) && plain(&values[at - 1]))) {
            parts.push(Part::Literal(" ".to_owned()));
        }
        parts.extend(value.clone().into_parts());
    }
    if line {
        parts.push(Part::Literal("\n".to_owned()));
    }
    Ok(Value::text(parts))
}
