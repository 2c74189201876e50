//! What has to be known of a whole template before it is converted.

use std::collections::BTreeSet;

use super::literal;
use crate::migrate::go_template::ast::{Expr, Keyword, Node, Pipe};

/// The paths that these nodes test, without slashes around them, and the variables that they assign.
pub fn scan<'n>(lists: impl Iterator<Item = &'n Vec<Node>>) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut optional, mut assigned) = (BTreeSet::new(), BTreeSet::new());
    for nodes in lists {
        each_pipe(nodes, &mut |pipe| {
            if pipe.is_assignment {
                assigned.extend(pipe.variables.iter().cloned());
            }
            for command in &pipe.commands {
                if let (Some(Expr::Function(name)), Some(path)) = (command.first(), literal(command.get(1)))
                    && ["exists", "keyExists"].contains(&name.as_str())
                {
                    optional.insert(path.trim_matches('/').to_owned());
                }
            }
        });
    }
    (optional, assigned)
}

/// Whether nodes read paths that are not literals.
pub fn reads_computed_paths(nodes: &[Node]) -> bool {
    const READERS: [&str; 11] =
        ["exists", "get", "gets", "getv", "getvs", "key", "keyExists", "keyOrDefault", "ls", "lsdir", "service"];
    let mut found = false;
    each_pipe(nodes, &mut |pipe| {
        for (at, command) in pipe.commands.iter().enumerate() {
            if let Some(Expr::Function(name)) = command.first() {
                let piped = at > 0 && command.len() == 1;
                let computed = piped || command.get(1).is_some_and(|path| !matches!(path, Expr::Text(_)));
                found |= computed && READERS.contains(&name.as_str());
            }
        }
    });
    found
}

/// Whether nodes leave the loop around them.
pub fn breaks(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| match node {
        Node::Break(_) => true,
        Node::Control(control) => {
            let within = control.keyword != Keyword::Range && breaks(&control.body);
            within || control.otherwise.as_ref().is_some_and(|(_, nodes)| breaks(nodes))
        }
        _ => false,
    })
}

/// Calls `visit` with every pipeline.
fn each_pipe(nodes: &[Node], visit: &mut impl FnMut(&Pipe)) {
    for node in nodes {
        match node {
            Node::Action(_, pipe) | Node::Call(_, _, Some(pipe)) => within(pipe, visit),
            Node::Control(control) => {
                within(&control.pipe, visit);
                each_pipe(&control.body, visit);
                if let Some((_, nodes)) = &control.otherwise {
                    each_pipe(nodes, visit);
                }
            }
            _ => {}
        }
    }
}

fn within(pipe: &Pipe, visit: &mut impl FnMut(&Pipe)) {
    visit(pipe);
    for expr in pipe.commands.iter().flatten() {
        let mut inner = expr;
        while let Expr::Field(base, _) = inner {
            inner = base;
        }
        if let Expr::Pipe(pipe) = inner {
            within(pipe, visit);
        }
    }
}
