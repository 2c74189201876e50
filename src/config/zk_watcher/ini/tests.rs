use super::*;

fn shown(text: &str) -> String {
    match parse(text) {
        Ok(sections) => sections
            .iter()
            .map(|section| {
                let options: Vec<String> =
                    section.options.iter().map(|it| format!("{}={:?}", it.key, it.value)).collect();
                format!("[{}] {}", section.name, options.join(" "))
            })
            .collect::<Vec<_>>()
            .join("; "),
        Err(problems) => {
            problems.iter().map(|(span, wrong)| format!("{}: {wrong}", span.start)).collect::<Vec<_>>().join("; ")
        }
    }
}

/// Executed with Python 3.11's configparser.
#[test]
fn files_are_read_as_configparser_reads_them() {
    for (text, wanted) in [
        ("[a]\nCmd: x\nb = c = d:e\n", r#"[a] cmd="x" b="c = d:e""#),
        ("# c\n[a]\n; d\nx = 1 ; y # z\n", r#"[a] x="1 ; y # z""#),
        ("[a]\nx = 1\n  2\n\n  3\ny=\n", r#"[a] x="1\n2\n3" y="""#),
        ("[DEFAULT]\nrefresh=5\n[default]\n[b]\nrefresh=6\n", r#"[default] refresh="5"; [b] refresh="6""#),
        ("[a]\nx = %(y)s%%\nY = 1\n", r#"[a] x="1%" y="1""#),
        ("", ""),
        ("x = 1\n", "0: this line comes before the first section"),
        ("[a]\n[a]\n", "4: the section [a] appears twice"),
        ("[a]\nx=1\nX=2\n", "8: `x` appears twice in [a]"),
        ("[a]\nwhat\n", "4: this line has neither = nor :"),
        ("[a]\nx = date +%s\n", "4: % is followed neither by % nor by (NAME)s"),
        ("[a]\nx = %(n)s\n", "4: %(n)s names a key that [a] does not have"),
        ("[a]\nx = %(x)s\n", "4: %(NAME)s references form a loop"),
    ] {
        assert_eq!(shown(text), wanted, "{text}");
    }
}
