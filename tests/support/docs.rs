//! The pages of the documentation, and the code blocks in them.

use std::fs;
use std::path::{Path, PathBuf};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The README and every page of docs/.
pub fn pages() -> Vec<String> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    pages.sort();
    let pages = pages.iter().map(|path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
    ["README.md".to_owned()].into_iter().chain(pages).collect()
}

/// A fenced code block of a page.
pub struct Block {
    pub language: String,
    pub text: String,
    /// `page:line` of its start.
    pub place: String,
    /// The second-level heading above it, without backquotes.
    pub heading: String,
}

pub fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut open, mut heading): (Vec<Block>, bool, String) = (Vec::new(), false, String::new());
    for (line, number) in text(page).lines().zip(1..) {
        if let Some(language) = line.strip_prefix("```") {
            open = !open;
            if open {
                let place = format!("{page}:{number}");
                blocks.push(Block { language: language.into(), text: String::new(), place, heading: heading.clone() });
            }
        } else if let Some(block) = blocks.last_mut().filter(|_| open) {
            block.text.push_str(line);
            block.text.push('\n');
        } else if let Some(title) = line.strip_prefix("## ") {
            heading = title.replace('`', "");
        }
    }
    assert!(!open, "{page} ends within a block");
    blocks
}

/// The page that lists every event.
pub const EVENTS: &str = "docs/operations.md";

/// The cells of each row of a table under `## Events` whose first cell is code, if the row has this many cells. The
/// first cell keeps its closing backquote.
pub fn event_rows(columns: usize) -> Vec<Vec<String>> {
    let page = text(EVENTS);
    let section =
        page.lines().skip_while(|line| *line != "## Events").skip(1).take_while(|it| *it != "### roster_held");
    let cells = |line: &str| Some(line.strip_prefix("| `")?.split(" | ").map(str::to_owned).collect());
    section.filter_map(cells).filter(|cells: &Vec<String>| cells.len() == columns).collect()
}

/// The names in a cell.
pub fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(['`', ' ', ',']).filter(|word| !word.is_empty())
}
