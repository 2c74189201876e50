//! `ls`: lists the nodes of a registry, and how each is read as a member.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::error::Exit;
use crate::log::plain;
use crate::model::node_path::NodePath;
use crate::model::registry_event::Reading;
use crate::payload::{DecodedNode, Format, Payload, auto, decode_child, mask_credentials};
use crate::watch::{Node, Registry};

use super::get::{payload, print, say};

#[cfg(test)]
mod tests;

/// The maximum number of characters of a node's data that are shown.
const WIDTH: usize = 60;

/// The command line of `ls`.
#[derive(Debug, Clone, clap::Args)]
pub struct LsArgs {
    /// The path of the node
    #[arg(value_name = "PATH", default_value = "/", value_parser = path)]
    pub path: NodePath,
    /// List all descendants
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// The payload format of the nodes, or auto to detect it
    #[arg(long, value_name = "FORMAT", default_value_t, value_parser = payload)]
    payload: Payload,
    /// Treat nodes with children, and empty persistent nodes without a port, as members too
    #[arg(long)]
    every_child: bool,
    /// How long to wait for the registry
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = super::timeout)]
    pub timeout: Duration,
}

impl LsArgs {
    fn payload(&self) -> Payload {
        Payload { every_child: self.every_child, ..self.payload.clone() }
    }
}

fn path(text: &str) -> Result<NodePath, String> {
    NodePath::parse(text).map_err(|why| why.to_string())
}

/// Prints the node and the nodes below it. Returns 3 if the path does not exist, 4 if the registry cannot be reached or
/// refuses, and 1 if a part of it cannot be read.
pub async fn ls(args: &LsArgs, registry: Arc<dyn Registry>, out: &mut dyn Write) -> Exit {
    let path = &args.path;
    let node = match timeout(args.timeout, registry.read(path.clone(), args.recursive)).await {
        Ok(Ok(Some(node))) => node,
        Ok(Ok(None)) => {
            say(&format!("{path}: the path does not exist"));
            return Exit::Held;
        }
        Ok(Err(setback)) => {
            say(&setback.to_string());
            return Exit::Unreached;
        }
        Err(_) => {
            let waited = humantime::format_duration(args.timeout);
            say(&format!("{path}: the registry did not answer within {waited}"));
            return Exit::Unreached;
        }
    };
    let mut tree = Tree { args, lines: Vec::new(), exit: Exit::Done };
    tree.line(0, path.as_str(), &node, None);
    tree.below(&node, 1);
    print(out, &tree.text()).map_or(tree.exit, |exit| exit.worse(tree.exit))
}

/// The output: one line for each node, in columns.
struct Tree<'a> {
    args: &'a LsArgs,
    /// The name with its indent, the data, and how it is read as a member.
    lines: Vec<[String; 3]>,
    exit: Exit,
}

impl Tree<'_> {
    fn below(&mut self, node: &Node, depth: usize) {
        match &node.children {
            Ok(children) => {
                let payload = self.args.payload();
                let nodes = || children.iter().map(|(name, child)| (Arc::from(name.as_str()), child.reading.clone()));
                let format = payload.format.clone().or_else(|| auto::detect(&nodes().collect()));
                let format = format.unwrap_or(auto::FALLBACK);
                for (name, child) in children {
                    let reading = as_member(&payload, &format, name, &child.reading);
                    self.line(depth, name, child, Some(reading));
                    self.below(child, depth + 1);
                }
            }
            Err(why) => {
                self.exit = Exit::Failed;
                let text = format!("{}(its children cannot be listed: {})", "  ".repeat(depth), plain(why));
                self.lines.push([text, String::new(), String::new()]);
            }
        }
    }

    fn line(&mut self, depth: usize, name: &str, node: &Node, reading: Option<String>) {
        if node.reading.is_err() {
            self.exit = Exit::Failed;
        }
        let name = format!("{}{}", "  ".repeat(depth), plain(name));
        self.lines.push([name, shown(&node.reading), reading.unwrap_or_default()]);
    }

    fn text(&self) -> String {
        let width = |column: usize| {
            // A line without a second column does not count for the width of the first.
            let chars = |line: &[String; 3]| if line[column + 1].is_empty() { 0 } else { line[column].chars().count() };
            self.lines.iter().map(chars).max().unwrap_or_default()
        };
        let (names, data) = (width(0), width(1));
        let mut out = String::new();
        for [name, shown, reading] in &self.lines {
            out.push_str(format!("{name:names$}  {shown:data$}  {reading}").trim_end());
            out.push('\n');
        }
        out
    }
}

/// Data on one line: `-` for none, text with control characters escaped, other data as a byte string.
fn shown(reading: &Reading) -> String {
    let bytes = match reading {
        Ok(node) if node.data.is_empty() => return "-".to_owned(),
        Ok(node) => &node.data,
        Err(why) => return format!("(cannot be read: {})", plain(why)),
    };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => plain(&mask_credentials(text)).into_owned(),
        Err(_) => format!("b\"{}\"", bytes.escape_ascii()),
    };
    if text.chars().count() <= WIDTH {
        return text;
    }
    let start: String = text.chars().take(WIDTH).collect();
    format!("{start}… ({} bytes)", bytes.len())
}

/// How a roster of the parent path reads the node.
fn as_member(payload: &Payload, format: &Format, name: &str, reading: &Reading) -> String {
    let member = match decode_child(payload, format, name, reading) {
        Ok(DecodedNode::Member(member)) => member,
        Ok(DecodedNode::Vector(_) | DecodedNode::Other) => return format!("→ {format}: not a member"),
        Ok(DecodedNode::NotAMember(why)) => return format!("→ not a member: {why}"),
        Err(why) => return format!("→ quarantined as {format}: {}", plain(&why.to_string())),
    };
    let fields = member.fields();
    let mut out = format!("→ {format}:");
    let mut say = |what: &str, value: Option<String>| {
        if let Some(value) = value {
            out.extend([" ", what, " ", &value]);
        }
    };
    say("host", fields.host.clone());
    say("port", fields.port.map(|port| port.to_string()));
    say("id", fields.id.clone());
    say("weight", fields.weight.map(|weight| weight.to_string()));
    say("status", fields.status.clone());
    out
}
