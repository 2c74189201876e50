//! Which directory of src/ may import which others, and that no two files import each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use super::sources;

/// A module by its path below the crate's root: `["decide", "engine"]`.
type Module = Vec<String>;

/// What a directory may import besides itself.
const ALLOWED: [(&str, &[&str]); 5] = [
    ("model", &[]),
    ("payload", &["model"]),
    ("config", &["model", "payload", "jones", "text"]),
    ("decide", &["model", "config", "payload", "jones"]),
    ("zk", &["model"]),
];

/// A `use` of one name, or a path within an expression.
struct Import {
    is_public: bool,
    /// The name under which it is imported.
    name: String,
    path: Vec<String>,
}

/// The modules of this crate, and the targets of the paths in them.
struct Tree {
    imports: BTreeMap<Module, Vec<Import>>,
    /// The origin of a name that a module exports.
    exports: BTreeMap<(Module, String), Vec<String>>,
}

impl Tree {
    fn read() -> Self {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut tree = Self { imports: BTreeMap::new(), exports: BTreeMap::new() };
        for (file, text) in sources("src") {
            let path = file.strip_prefix(&src).unwrap().with_extension("");
            let module: Module = path.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            if !matches!(module[0].as_str(), "main" | "lib" | "fuzzing") {
                tree.imports.insert(module, imports(&text));
            }
        }
        assert!(tree.imports.len() > 100, "src is not where this test looks");
        for (module, imports) in &tree.imports {
            for import in imports.iter().filter(|import| import.is_public) {
                if let Some(path) = tree.absolute(module, &import.path) {
                    tree.exports.insert((module.clone(), import.name.clone()), path);
                }
            }
        }
        tree
    }

    /// A path relative to the crate root. `None` for one outside the crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Vec<String>> {
        let supers = path.iter().take_while(|part| *part == "super").count();
        let within = |base: &[String], rest: &[String]| Some([base, rest].concat());
        match path[0].as_str() {
            "crate" => within(&[], &path[1..]),
            "self" => within(module, &path[1..]),
            "super" => within(&module[..module.len() - supers], &path[supers..]),
            child => {
                let is_child = self.imports.contains_key(&[&module[..], &[child.to_owned()]].concat());
                if is_child { within(module, path) } else { None }
            }
        }
    }

    /// The module that defines the target of a path.
    fn defines(&self, path: &[String]) -> Module {
        let known = (0..=path.len()).rev().find(|end| self.imports.contains_key(&path[..*end])).unwrap_or_default();
        let origin = path.get(known).and_then(|name| self.exports.get(&(path[..known].to_vec(), name.clone())));
        origin.map_or(path[..known].to_vec(), |origin| self.defines(&[origin, &path[known + 1..]].concat()))
    }

    /// The modules that each one imports. A module may use its ancestors.
    fn edges(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let targets = |module: &Module, imports: &[Import]| {
            let paths = imports.iter().filter_map(|import| self.absolute(module, &import.path));
            paths.map(|path| self.defines(&path)).filter(|target| !module.starts_with(target)).collect()
        };
        self.imports.iter().map(|(module, imports)| (module.clone(), targets(module, imports))).collect()
    }
}

/// The code of a file, without comments and test code.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut test: Option<&str> = None;
    for line in text.lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if let Some(outer) = test {
            // The end of the item that has the attribute.
            if indent == outer && line.ends_with([';', '}']) {
                test = None;
            }
        } else if line.trim_start().starts_with("#[cfg(test") || line.trim_start().starts_with("#[cfg(any(test") {
            test = Some(indent);
        } else if !line.trim_start().starts_with("//") {
            code += line;
            code.push('\n');
        }
    }
    code
}

/// All paths that a file names, in its `use` trees and in its code.
fn imports(text: &str) -> Vec<Import> {
    let (mut imports, mut rest, mut tree) = (Vec::new(), String::new(), None);
    for line in code(text).lines() {
        let start = line.trim_start();
        let words = if start.starts_with("pub") { start.split_once(' ').map_or("", |(_, words)| words) } else { start };
        let (is_public, text) = match (&mut tree, words.strip_prefix("use ")) {
            (Some((is_public, text)), _) => (*is_public, std::mem::take(text) + start),
            (None, Some(text)) => (start != words, text.to_owned()),
            (None, None) => {
                rest = rest + line + "\n";
                continue;
            }
        };
        match text.strip_suffix(';') {
            Some(text) => {
                leaves(&[], text, is_public, &mut imports);
                tree = None;
            }
            None => tree = Some((is_public, text)),
        }
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    // Every path of the form `a::b::c`.
    for path in rest.split(|c: char| !is_word(c) && c != ':').filter(|text| text.contains("::")) {
        let path: Vec<String> = path.trim_end_matches(':').split("::").map(str::to_owned).collect();
        if path.iter().all(|part| !part.is_empty() && part.chars().all(is_word)) {
            imports.push(Import { is_public: false, name: String::new(), path });
        }
    }
    imports
}

/// Each name of a `use` tree.
fn leaves(above: &[&str], tree: &str, is_public: bool, imports: &mut Vec<Import>) {
    let (head, group) = tree.trim().split_once('{').map_or((tree.trim(), None), |(head, group)| (head, Some(group)));
    let (head, renamed) = head.split_once(" as ").map_or((head, None), |(head, name)| (head, Some(name)));
    let own = head.split("::").filter(|part| !part.is_empty() && (*part != "self" || above.is_empty()));
    let path: Vec<&str> = above.iter().copied().chain(own).collect();
    let Some(group) = group.and_then(|group| group.strip_suffix('}')) else {
        let name = renamed.or(path.last().copied()).unwrap_or_default().to_owned();
        return imports.push(Import { is_public, name, path: path.into_iter().map(str::to_owned).collect() });
    };
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !group[start..at].trim().is_empty() {
                    leaves(&path, &group[start..at], is_public, imports);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The shortest import circle through a module.
fn circle(edges: &BTreeMap<Module, BTreeSet<Module>>, start: &Module) -> Option<Vec<String>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in edges.get(way[way.len() - 1]).into_iter().flatten() {
            if next == start {
                return Some(way.iter().map(|module| module.join("/")).collect());
            }
            if seen.insert(next) {
                ways.push_back([&way[..], &[next]].concat());
            }
        }
    }
    None
}

#[test]
fn no_files_import_each_other() {
    let edges = Tree::read().edges();
    let circles: BTreeSet<Vec<String>> = edges
        .keys()
        .filter_map(|module| circle(&edges, module))
        .map(|mut way| {
            let first = (0..way.len()).min_by_key(|at| &way[*at]).unwrap();
            way.rotate_left(first);
            way
        })
        .collect();
    assert!(circles.is_empty(), "files that import each other: {circles:#?}");
}

#[test]
fn a_directory_imports_only_what_is_allowed() {
    for (module, targets) in Tree::read().edges() {
        let Some((_, allowed)) = ALLOWED.iter().find(|(directory, _)| *directory == module[0]) else { continue };
        for target in targets {
            assert!(
                target[0] == module[0] || allowed.contains(&target[0].as_str()),
                "src/{}.rs imports {}; {} may import only {allowed:?}",
                module.join("/"),
                target.join("::"),
                module[0]
            );
        }
    }
}
