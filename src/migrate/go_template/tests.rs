use std::fmt::Write as _;

use proptest::prelude::*;

use super::ast::{Control, Expr, Keyword, Node, Pipe};
use super::*;

const BRACES: (&str, &str) = ("{{", "}}");

/// An operand in a short form of its own: calls in brackets, strings in quotes.
fn operand(expr: &Expr) -> String {
    match expr {
        Expr::Dot => ".".into(),
        Expr::Variable(name) => format!("${name}"),
        Expr::Function(name) => name.clone(),
        Expr::Field(base, names) => format!("{}->{}", operand(base), names.join("->")),
        Expr::Pipe(inner) => format!("({})", pipe(inner)),
        Expr::Text(text) => format!("{text:?}"),
        Expr::Number(text) => text.clone(),
        Expr::Bool(yes) => yes.to_string(),
        Expr::Nil => "nil".into(),
    }
}

fn pipe(pipe: &Pipe) -> String {
    let command = |command: &Vec<Expr>| format!("[{}]", command.iter().map(operand).collect::<Vec<_>>().join(" "));
    let commands = pipe.commands.iter().map(command).collect::<Vec<_>>().join("|");
    match (pipe.variables.join(","), pipe.is_assignment) {
        (names, _) if names.is_empty() => commands,
        (names, false) => format!("{names}:={commands}"),
        (names, true) => format!("{names}={commands}"),
    }
}

fn nodes(list: &[Node]) -> String {
    list.iter().fold(String::new(), |mut out, node| {
        match node {
            Node::Text(text) => write!(out, "{text:?}"),
            Node::Comment(_, text) => write!(out, "<#{text}>"),
            Node::Action(_, inner) => write!(out, "<{}>", pipe(inner)),
            Node::Control(control) => write!(out, "{}", block(control)),
            Node::Define(_) => write!(out, "<define>"),
            Node::Call(_, name, argument) => {
                write!(out, "<call {name} {}>", argument.as_ref().map(pipe).unwrap_or_default())
            }
            Node::Break(_) => write!(out, "<break>"),
            Node::Continue(_) => write!(out, "<continue>"),
        }
        .unwrap();
        out
    })
}

fn block(control: &Control) -> String {
    let word = match control.keyword {
        Keyword::If => "if",
        Keyword::With => "with",
        Keyword::Range => "range",
    };
    let otherwise = control.otherwise.as_ref().map(|(_, list)| format!(" else {}", nodes(list))).unwrap_or_default();
    format!("<{word} {} {{{}{otherwise}}}>", pipe(&control.pipe), nodes(&control.body))
}

fn shown(text: &str) -> String {
    match parse(text, BRACES) {
        Ok(template) => nodes(&template.nodes),
        Err(wrong) => format!("line {}: {}", wrong.line, wrong.message),
    }
}

#[test]
fn constructs_are_parsed() {
    for (text, tree) in [
        ("a b\n", "\"a b\\n\""),
        ("{{.}} {{ $ }}{{$x}}", "<[.]>\" \"<[$]><[$x]>"),
        ("{{.A.B}}{{.A .B}}{{$x.A}}", "<[.->A->B]><[.->A .->B]><[$x->A]>"),
        ("{{(index .A 0).B}}", "<[([index .->A 0])->B]>"),
        ("{{getv \"/a\" | toUpper | printf \"%s\"}}", "<[getv \"/a\"]|[toUpper]|[printf \"%s\"]>"),
        ("{{f (g .x) nil true}}", "<[f ([g .->x]) nil true]>"),
        ("{{$x := f 1}}{{$x = .5}}{{-3}}", "<x:=[f 1]><x=[.5]><[-3]>"),
        ("{{range $i, $v := gets \"/a/*\"}}{{$i}}{{end}}", "<range i,v:=[gets \"/a/*\"] {<[$i]>}>"),
        ("{{if .a}}1{{else if .b}}2{{else}}3{{end}}4", "<if [.->a] {\"1\" else <if [.->b] {\"2\" else \"3\"}>}>\"4\""),
        ("{{with $y := .a}}1{{else}}2{{end}}", "<with y:=[.->a] {\"1\" else \"2\"}>"),
        ("{{range .}}{{break}}{{continue}}{{end}}", "<range [.] {<break><continue>}>"),
        ("{{/* a }} b */}}c", "<# a }} b >\"c\""),
        ("{{- /* a */ -}}", "<# a >"),
        (
            "{{define \"t\"}}x{{end}}{{template \"t\" .a}}{{block \"u\" .}}y{{end}}",
            "<define><call t [.->a]><call u [.]>",
        ),
        (r#"{{"a\n\"\x41\u00e9\101" }}{{`r\n"`}}{{'x'}}"#, r#"<["a\n\"AéA"]><["r\\n\""]><["x"]>"#),
        ("{{\"}}\"}}", "<[\"}}\"]>"),
        ("{{f\n1\n}}", "<[f 1]>"),
        ("{{ 0x1F }}{{1e+3}}{{1_000}}", "<[0x1F]><[1e+3]><[1_000]>"),
        ("}} { {{.}} }", "\"}} { \"<[.]>\" }\""),
    ] {
        assert_eq!(shown(text), tree, "{text}");
    }
}

#[test]
fn trim_marks_need_a_space() {
    let template = parse("a {{- .x -}} b {{-3}}{{ 4 }}", BRACES).unwrap();
    let tags: Vec<_> = template
        .nodes
        .iter()
        .filter_map(|node| match node {
            Node::Action(tag, _) => Some((tag.trim_left, tag.trim_right, tag.source.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(tags, [(true, true, "{{- .x -}}"), (false, false, "{{-3}}"), (false, false, "{{ 4 }}")]);
}

#[test]
fn a_syntax_error_has_its_line() {
    for (text, said) in [
        ("a\n{{.x", "line 2: an action is not closed"),
        ("{{}}", "line 1: a value is missing"),
        ("\n\n{{if .x}}", "line 3: {{if .x}} has no end"),
        ("{{end}}", "line 1: {{end}} without a block"),
        ("{{range .}}{{else if .a}}{{end}}", "line 1: unexpected {{else if .a}}"),
        ("{{if .}}{{else}}{{else}}{{end}}", "line 1: a second else"),
        ("{{\"a", "line 1: a string is not closed"),
        ("{{`a", "line 1: a string is not closed"),
        ("{{/* a", "line 1: a comment is not closed"),
        ("{{/* a */ b}}", "line 1: a comment is not alone in its braces"),
        ("{{f (g}}", "line 1: a parenthesis is not closed"),
        ("{{f )}}", "line 1: unexpected text at the end of an action"),
        ("{{a \"x\"\"y\"}}", "line 1: a space is missing between two values"),
        ("{{a ; b}}", "line 1: unexpected ';' in an action"),
        ("{{\"\\q\"}}", "line 1: unknown escape \\q"),
        ("{{\"\\xff\"}}", "line 1: an escape in a string is not a character"),
        ("{{define x}}{{end}}", "line 1: define without a name in quotes"),
        ("{{| f}}", "line 1: a value is missing"),
        ("{{break}}", "line 1: {{break}} outside of range"),
        ("{{range .}}{{else}}{{continue}}{{end}}", "line 1: {{continue}} outside of range"),
    ] {
        assert_eq!(shown(text), said, "{text}");
    }
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| format!("{}x{}", "{{if .a}}".repeat(depth), "{{end}}".repeat(depth));
    assert!(parse(&nested(MAX_DEPTH), BRACES).is_ok());
    assert_eq!(shown(&nested(MAX_DEPTH + 1)), "line 1: blocks are nested more than 100 deep");
    let parentheses = |depth: usize| format!("{{{{{}.{}}}}}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&parentheses(MAX_DEPTH), BRACES).is_ok());
    assert_eq!(shown(&parentheses(100_000)), "line 1: parentheses are nested more than 100 deep");
    assert!(shown(&nested(100_000)).contains("nested more than"));
}

#[test]
fn other_delimiters_are_parsed() {
    let template = parse("{{a}} <<.x>> [[", ("<<", ">>")).unwrap();
    assert_eq!(nodes(&template.nodes), "\"{{a}} \"<[.->x]>\" [[\"");
}

proptest! {
    #[test]
    fn the_text_outside_of_actions_is_kept(text in "[a-z{} \n-]{0,20}") {
        if let Ok(template) = parse(&text, BRACES)
            && !text.contains("{{")
        {
            let expected = if text.is_empty() { vec![] } else { vec![Node::Text(text)] };
            prop_assert_eq!(template.nodes, expected);
        }
    }
}
