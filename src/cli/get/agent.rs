//! `get --agent`: the members come from the running agent, which has them already.

use std::io::Write;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::cli::Global;
use crate::cli::agent_commands::send;
use crate::control::{Answer, PathView, RequestBody};
use crate::error::Exit;
use crate::model::registry_event::{Seen, Unreachable, View};

use super::{Gathered, GetArgs, Wanted, answer, check, finish};

/// How often an agent is asked again that does not know the path yet, or has too few members.
const POLL: Duration = Duration::from_millis(200);

/// Why a path cannot be read that the agent does not follow.
const NOT_FOLLOWED: &str = "no roster of the agent follows it: add a [[roster]] with this path, or with a * that matches \
                            it, or omit --agent";

/// Prints the members of the paths as the agent knows them.
pub async fn get(args: &GetArgs, global: &Global, out: &mut dyn Write) -> Exit {
    if let Some(exit) = check(args) {
        return exit;
    }
    let mut known = Gathered::default();
    // After the timeout, the answer is made from what is known.
    let _ = timeout(args.timeout, ask(args, global, &mut known)).await;
    finish(args, &known, out)
}

/// Asks until every path has an answer.
async fn ask(args: &GetArgs, global: &Global, known: &mut Gathered) {
    let body = RequestBody::Get { paths: args.paths.iter().map(|path| path.text.clone()).collect() };
    loop {
        let views = match send(global, body.clone()).await {
            Ok(Answer::Views(views)) => views,
            Ok(Answer::Message(message)) => return known.fail(message.text, message.exit),
            Ok(_) => return known.fail("the agent sent an unexpected answer: restart it".to_owned(), Exit::NoAgent),
            Err(fatal) => return known.fail(fatal.message, fatal.exit),
        };
        let mut is_complete = true;
        for (path, view) in args.paths.iter().zip(views) {
            is_complete &= known.learn_from_agent(args, path, view);
        }
        if is_complete {
            return;
        }
        sleep(POLL).await;
    }
}

impl Gathered {
    fn fail(&mut self, reason: String, exit: Exit) {
        // What an earlier answer had may be out of date.
        self.views.clear();
        self.stale.clear();
        self.notes.clear();
        self.away = Some(Unreachable { reason, is_final: true });
        self.exit = Some(exit);
    }

    /// Learns the view of one path. Returns whether to wait no longer for a better one.
    fn learn_from_agent(&mut self, args: &GetArgs, path: &Wanted, view: PathView) -> bool {
        let PathView { is_followed, registry, view, stale, reason } = view;
        if !is_followed {
            self.views.insert(path.subject.clone(), View::Members(Seen::Unreadable(NOT_FOLLOWED.into())));
            return true;
        }
        self.notes.extend(registry.map(|registry| format!("{} is from registry {registry}", path.text)));
        let Some(view) = view.and_then(|view| view.view(&path.subject).ok()) else {
            self.views.remove(&path.subject);
            let reason = reason.unwrap_or_else(|| "the agent has not read it yet".to_owned());
            self.away = Some(Unreachable { reason, is_final: false });
            return false;
        };
        let is_enough = answer::enough(args, &view);
        self.views.insert(path.subject.clone(), view);
        let Some(age) = stale else {
            self.stale.remove(&path.subject);
            return is_enough;
        };
        // A lost connection usually returns soon.
        let is_down = reason.is_some();
        let reason = reason.unwrap_or_else(|| "the connection to the registry was lost".to_owned());
        self.stale.insert(path.subject.clone(), (age, reason));
        is_down
    }
}
