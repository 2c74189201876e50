//! Everything about a template that can be known to be wrong before there are members, all at once.
//!
//! A template is looked at together with all that it can reach: what it includes and extends, and the files that its
//! components are in. Scopes follow Tera: an included template sees what is local where it is included, a component
//! sees its arguments and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::config::Problem;
use crate::decide::Needs;
use crate::text::nearest::nearest;

use super::names::{Found, Known};
use super::source::{Fault, Source, Sources, plain};
use super::uses::{Name, Part, Word};
use super::{filter, names};

/// A template that is right as far as can be known, and the files it is made of, by name.
pub struct Vetted {
    /// The template itself and all that it can reach.
    pub files: BTreeMap<String, Arc<Source>>,
    /// What it is rendered from.
    pub needs: Needs,
    /// Whether it shows the host's full name, or may do so.
    pub uses_fqdn: bool,
}

/// Vets one template.
///
/// # Errors
/// Every problem in it and in all that it reaches.
pub fn vet(entry: &Arc<Source>, sources: &mut Sources, known: &Known<'_>) -> Result<Vetted, Vec<Problem>> {
    let mut vetting = Vetting {
        sources,
        known,
        files: BTreeMap::new(),
        broken: BTreeSet::new(),
        seen: BTreeSet::new(),
        problems: Vec::new(),
        needs: Needs::default(),
        uses_fqdn: false,
    };
    vetting.reach(entry);
    let files: Vec<Arc<Source>> = vetting.files.values().cloned().collect();
    for file in &files {
        vetting.words(file);
    }
    vetting.file(entry, &BTreeSet::new(), false, &mut Vec::new());
    if vetting.problems.is_empty() {
        Ok(Vetted { files: vetting.files, needs: vetting.needs, uses_fqdn: vetting.uses_fqdn })
    } else {
        Err(vetting.problems)
    }
}

/// A filter, test or function that is not there: what is wrong, and what to write.
pub fn unknown_word(kind: &str, word: &str, all: &[&str]) -> Option<(String, String)> {
    let hint = || names::word_hint(kind, word, all);
    (!all.contains(&word)).then(|| (format!("there is no {kind} named {word}"), hint()))
}

struct Vetting<'a> {
    sources: &'a mut Sources,
    known: &'a Known<'a>,
    files: BTreeMap<String, Arc<Source>>,
    /// Files, and components, that a problem was reported for already.
    broken: BTreeSet<String>,
    /// Parts that were walked already, and with which local names: file, component, names, sealed.
    seen: BTreeSet<(String, String, BTreeSet<String>, bool)>,
    problems: Vec<Problem>,
    needs: Needs,
    uses_fqdn: bool,
}

impl Vetting<'_> {
    /// Reads everything that the template can reach.
    fn reach(&mut self, entry: &Arc<Source>) {
        let mut queue = vec![Arc::clone(entry)];
        while let Some(file) = queue.pop() {
            if self.files.contains_key(&file.name) {
                continue;
            }
            for word in
                file.uses.parts().flat_map(|part| &part.includes).map(|call| &call.word).chain(&file.uses.extends)
            {
                queue.extend(self.named(&file, word));
            }
            self.files.insert(file.name.clone(), file);
            if queue.is_empty() {
                queue.extend(self.components());
            }
        }
    }

    /// The template that is named in an include or an extends.
    fn named(&mut self, file: &Source, word: &Word) -> Option<Arc<Source>> {
        if plain(Path::new(&word.text)).as_deref() != Some(&word.text) || word.text.contains('\\') {
            let message = format!("{:?} is no name of a template in the template directory", word.text);
            let hint = "names are relative to the template directory, and have no . or .. in them".to_owned();
            self.problems.push(file.problem(word.span.clone(), message, Some(hint)));
            return None;
        }
        match self.sources.get(&word.text) {
            Ok(source) => Some(source),
            Err(Fault::Syntax(problem)) => {
                if self.broken.insert(word.text.clone()) {
                    self.problems.push(problem);
                }
                None
            }
            Err(Fault::Unreadable(why)) => {
                let path = self.sources.path(&word.text);
                let message = format!("{} cannot be read: {why}", path.display());
                let near = nearest(&word.text, self.sources.names().iter().map(String::as_str));
                let hint = near.filter(|near| *near != word.text).map(names::did_you_mean);
                let dir = self.sources.dir();
                let hint = hint.unwrap_or_else(|| format!("templates are looked for in {}", dir.display()));
                self.problems.push(file.problem(word.span.clone(), message, Some(hint)));
                None
            }
        }
    }

    /// The files with the components that are called and are not yet there.
    fn components(&mut self) -> Vec<Arc<Source>> {
        let files: Vec<Arc<Source>> = self.files.values().cloned().collect();
        let calls = files
            .iter()
            .flat_map(|file| file.uses.parts().flat_map(move |part| part.calls.iter().map(move |call| (file, call))));
        let mut found = Vec::new();
        for (file, call) in calls {
            let name = &call.word.text;
            if files.iter().any(|file| file.uses.components.contains_key(name)) {
                continue;
            }
            let defining = self.sources.defining(name);
            let mut defining_names = defining.iter();
            let problem = match (defining_names.next(), defining_names.next()) {
                (Some(only), None) => match self.sources.get(only) {
                    Ok(source) => {
                        found.push(source);
                        continue;
                    }
                    Err(Fault::Syntax(problem)) => problem,
                    Err(Fault::Unreadable(why)) => {
                        let hint = "see to it that rosterd's user may read it".to_owned();
                        file.problem(call.word.span.clone(), format!("{only} cannot be read: {why}"), Some(hint))
                    }
                },
                (Some(one), Some(other)) => {
                    let message = format!("the component {name} is defined in both {one} and {other}");
                    file.problem(call.word.span.clone(), message, Some("rename one of them".into()))
                }
                _ => {
                    let here = files.iter().flat_map(|file| file.uses.components.keys()).map(String::as_str);
                    let near = nearest(name, self.sources.components().chain(here));
                    let hint = near.map_or_else(
                        || format!("define it with {{% component {name}() %}} in a file of the template directory"),
                        names::did_you_mean,
                    );
                    file.problem(call.word.span.clone(), format!("there is no component named {name}"), Some(hint))
                }
            };
            if self.broken.insert(format!("<{name}>")) {
                self.problems.push(problem);
            }
        }
        found
    }

    /// Filters, tests and functions of one file.
    fn words(&mut self, file: &Source) {
        let uses = &file.uses;
        for word in &uses.filters {
            self.word(file, word, "filter", &mut filter::filters());
        }
        for word in &uses.tests {
            self.word(file, word, "test", &mut filter::tests());
        }
        for word in &uses.functions {
            self.word(file, word, "function", &mut filter::FUNCTIONS.into_iter());
        }
    }

    fn word(&mut self, file: &Source, word: &Word, kind: &str, known: &mut dyn Iterator<Item = &'static str>) {
        if let Some((message, hint)) = unknown_word(kind, &word.text, &known.collect::<Vec<_>>()) {
            self.problems.push(file.problem(word.span.clone(), message, Some(hint)));
        }
    }

    /// A file as it is rendered: its parents and itself.
    fn file(&mut self, file: &Arc<Source>, scope: &BTreeSet<String>, sealed: bool, above: &mut Vec<String>) {
        above.push(file.name.clone());
        let mut scope = scope.clone();
        // What a child's blocks and its parents set is set for each other, in an order that only rendering tells.
        scope.extend(file.uses.body.sets.iter().filter(|_| file.uses.extends.is_some()).cloned());
        if let Some(word) = &file.uses.extends
            && let Some(parent) = self.next(file, word, above)
        {
            scope.extend(parent.uses.body.sets.iter().cloned());
            self.file(&parent, &scope, sealed, above);
        }
        self.part(file, "", &file.uses.body, &scope, sealed, above);
        above.pop();
    }

    /// The file that is included or extended, unless that leads back into itself.
    fn next(&mut self, file: &Source, word: &Word, above: &[String]) -> Option<Arc<Source>> {
        let next = self.files.get(&word.text).cloned()?;
        if !above.contains(&next.name) {
            return Some(next);
        }
        if self.broken.insert(format!("circle {}", next.name)) {
            let message = format!("this leads back into itself: {} → {}", above.join(" → "), next.name);
            let hint = "no template can be within itself: take this out, or one that leads here".to_owned();
            self.problems.push(file.problem(word.span.clone(), message, Some(hint)));
        }
        None
    }

    /// One part, with names that have local values around it; sealed in a component's body, where only those are seen.
    fn part(
        &mut self,
        file: &Arc<Source>,
        component: &str,
        part: &Part,
        scope: &BTreeSet<String>,
        sealed: bool,
        above: &mut Vec<String>,
    ) {
        if !self.seen.insert((file.name.clone(), component.to_owned(), scope.clone(), sealed)) {
            return;
        }
        for name in &part.names {
            self.need(&name.word.text);
            // As with rosters, a local name counts; but in a component's body `host` is an argument and nothing else.
            self.uses_fqdn |= !sealed && name.is_fqdn();
            if !name.local && !scope.contains(&name.word.text) {
                self.name(file, name, sealed, part);
            }
        }
        for call in &part.includes {
            if let Some(included) = self.next(file, &call.word, above) {
                let inner = scope.union(&call.scope).cloned().collect();
                self.file(&included, &inner, sealed, above);
            }
        }
        for call in &part.calls {
            let name = &call.word.text;
            let Some(home) = self.files.values().find(|file| file.uses.components.contains_key(name)).cloned() else {
                continue;
            };
            let component = &home.uses.components[name];
            for word in &component.implicit {
                self.need(&word.text);
                self.uses_fqdn |= word.text == "host";
            }
            self.part(&home, name, &component.body, &BTreeSet::new(), true, &mut Vec::new());
        }
    }

    /// A local name counts too: a `set` in one branch does not take the roster of that name away in the other.
    fn need(&mut self, name: &str) {
        if name == "rosters" {
            self.needs.all = true;
        } else if let Some((name, _)) = self.known.names.get_key_value(name) {
            self.needs.names.insert(Arc::clone(name));
        }
    }

    fn name(&mut self, file: &Source, name: &Name, sealed: bool, part: &Part) {
        let text = &name.word.text;
        let found = if sealed { Found::Unknown } else { self.known.find(name) };
        let (span, message, hint) = match found {
            Found::Right => return,
            Found::Unknown if name.guarded => return,
            Found::Unknown if sealed => (
                name.word.span.clone(),
                format!("{text} is no argument of this component, and a component sees its arguments only"),
                Some(format!("pass it where the component is used, or take it from there with @{text}")),
            ),
            Found::Unknown => {
                let message = format!("there is no roster, key or variable named {text}");
                (name.word.span.clone(), message, Some(self.known.hint(text, part.locals.iter().map(String::as_str))))
            }
            Found::Wrong { field, message, hint } => (field.span.clone(), message, hint),
        };
        let problem = file.problem(span, message, hint);
        // A file that is included twice has its problems once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}
