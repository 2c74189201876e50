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

use super::names::{KnownNames, Lookup};
use super::source::{Source, SourceError, Sources, plain};
use super::uses::{Fragment, Ident, Variable};
use super::{filter, names};

/// A template that is right as far as can be known, and the files it is made of, by name.
pub struct Validated {
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
pub fn validate(entry: &Arc<Source>, sources: &mut Sources, known: &KnownNames<'_>) -> Result<Validated, Vec<Problem>> {
    let mut validator = Validator {
        sources,
        known,
        files: BTreeMap::new(),
        reported: BTreeSet::new(),
        walked: BTreeSet::new(),
        problems: Vec::new(),
        needs: Needs::default(),
        uses_fqdn: false,
    };
    validator.collect_files(entry);
    let files: Vec<Arc<Source>> = validator.files.values().cloned().collect();
    for file in &files {
        validator.check_builtins(file);
    }
    validator.walk_file(entry, &BTreeSet::new(), false, &mut Vec::new());
    if validator.problems.is_empty() {
        Ok(Validated { files: validator.files, needs: validator.needs, uses_fqdn: validator.uses_fqdn })
    } else {
        Err(validator.problems)
    }
}

/// A filter, test or function that is not there: what is wrong, and what to write.
pub fn unknown_builtin(kind: &str, ident: &str, all: &[&str]) -> Option<(String, String)> {
    let hint = || names::builtin_hint(kind, ident, all);
    (!all.contains(&ident)).then(|| (format!("there is no {kind} named {ident}"), hint()))
}

struct Validator<'a> {
    sources: &'a mut Sources,
    known: &'a KnownNames<'a>,
    files: BTreeMap<String, Arc<Source>>,
    /// Files, and components, that a problem was reported for already.
    reported: BTreeSet<String>,
    /// Parts that were walked already, and with which local names: file, component, names, sealed.
    walked: BTreeSet<(String, String, BTreeSet<String>, bool)>,
    problems: Vec<Problem>,
    needs: Needs,
    uses_fqdn: bool,
}

impl Validator<'_> {
    /// Reads everything that the template can reach.
    fn collect_files(&mut self, entry: &Arc<Source>) {
        let mut queue = vec![Arc::clone(entry)];
        while let Some(file) = queue.pop() {
            if self.files.contains_key(&file.name) {
                continue;
            }
            for ident in file
                .uses
                .fragments()
                .flat_map(|fragment| &fragment.includes)
                .map(|call| &call.ident)
                .chain(&file.uses.extends)
            {
                queue.extend(self.resolve_name(&file, ident));
            }
            self.files.insert(file.name.clone(), file);
            if queue.is_empty() {
                queue.extend(self.component_files());
            }
        }
    }

    /// The template that is named in an include or an extends.
    fn resolve_name(&mut self, file: &Source, ident: &Ident) -> Option<Arc<Source>> {
        if plain(Path::new(&ident.text)).as_deref() != Some(&ident.text) || ident.text.contains('\\') {
            let message = format!("{:?} is not a valid template name", ident.text);
            let hint = "names are relative to the template directory, without . or ..".to_owned();
            self.problems.push(file.problem(ident.span.clone(), message, Some(hint)));
            return None;
        }
        match self.sources.get(&ident.text) {
            Ok(source) => Some(source),
            Err(SourceError::Syntax(problem)) => {
                if self.reported.insert(ident.text.clone()) {
                    self.problems.push(problem);
                }
                None
            }
            Err(SourceError::Unreadable(why)) => {
                let path = self.sources.path(&ident.text);
                let message = format!("{} cannot be read: {why}", path.display());
                let near = nearest(&ident.text, self.sources.names().iter().map(String::as_str));
                let hint = near.filter(|near| *near != ident.text).map(names::did_you_mean);
                let dir = self.sources.dir();
                let hint = hint.unwrap_or_else(|| format!("templates are read from {}", dir.display()));
                self.problems.push(file.problem(ident.span.clone(), message, Some(hint)));
                None
            }
        }
    }

    /// The files with the components that are called and are not yet there.
    fn component_files(&mut self) -> Vec<Arc<Source>> {
        let files: Vec<Arc<Source>> = self.files.values().cloned().collect();
        let calls = files.iter().flat_map(|file| {
            file.uses.fragments().flat_map(move |fragment| fragment.calls.iter().map(move |call| (file, call)))
        });
        let mut found = Vec::new();
        for (file, call) in calls {
            let name = &call.ident.text;
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
                    Err(SourceError::Syntax(problem)) => problem,
                    Err(SourceError::Unreadable(why)) => {
                        let hint = "make it readable by rosterd's user".to_owned();
                        file.problem(call.ident.span.clone(), format!("{only} cannot be read: {why}"), Some(hint))
                    }
                },
                (Some(one), Some(other)) => {
                    let message = format!("the component {name} is defined in both {one} and {other}");
                    file.problem(call.ident.span.clone(), message, Some("rename one of them".into()))
                }
                _ => {
                    let here = files.iter().flat_map(|file| file.uses.components.keys()).map(String::as_str);
                    let near = nearest(name, self.sources.components().chain(here));
                    let hint = near.map_or_else(
                        || format!("define it with {{% component {name}() %}} in a file of the template directory"),
                        names::did_you_mean,
                    );
                    file.problem(call.ident.span.clone(), format!("there is no component named {name}"), Some(hint))
                }
            };
            if self.reported.insert(format!("<{name}>")) {
                self.problems.push(problem);
            }
        }
        found
    }

    /// Filters, tests and functions of one file.
    fn check_builtins(&mut self, file: &Source) {
        let uses = &file.uses;
        for ident in &uses.filters {
            self.check_builtin(file, ident, "filter", &mut filter::filters());
        }
        for ident in &uses.tests {
            self.check_builtin(file, ident, "test", &mut filter::tests());
        }
        for ident in &uses.functions {
            self.check_builtin(file, ident, "function", &mut filter::FUNCTIONS.into_iter());
        }
    }

    fn check_builtin(
        &mut self,
        file: &Source,
        ident: &Ident,
        kind: &str,
        known: &mut dyn Iterator<Item = &'static str>,
    ) {
        if let Some((message, hint)) = unknown_builtin(kind, &ident.text, &known.collect::<Vec<_>>()) {
            self.problems.push(file.problem(ident.span.clone(), message, Some(hint)));
        }
    }

    /// A file as it is rendered: its parents and itself.
    fn walk_file(&mut self, file: &Arc<Source>, scope: &BTreeSet<String>, in_component: bool, stack: &mut Vec<String>) {
        stack.push(file.name.clone());
        let mut scope = scope.clone();
        // What a child's blocks and its parents set is set for each other, in an order that only rendering tells.
        scope.extend(file.uses.body.sets.iter().filter(|_| file.uses.extends.is_some()).cloned());
        if let Some(ident) = &file.uses.extends
            && let Some(parent) = self.resolve_nested(file, ident, stack)
        {
            scope.extend(parent.uses.body.sets.iter().cloned());
            self.walk_file(&parent, &scope, in_component, stack);
        }
        self.walk_fragment(file, "", &file.uses.body, &scope, in_component, stack);
        stack.pop();
    }

    /// The file that is included or extended, unless that leads back into itself.
    fn resolve_nested(&mut self, file: &Source, ident: &Ident, stack: &[String]) -> Option<Arc<Source>> {
        let next = self.files.get(&ident.text).cloned()?;
        if !stack.contains(&next.name) {
            return Some(next);
        }
        if self.reported.insert(format!("circle {}", next.name)) {
            let message = format!("a template cannot include or extend itself: {} → {}", stack.join(" → "), next.name);
            let hint = "remove this, or another step of the cycle".to_owned();
            self.problems.push(file.problem(ident.span.clone(), message, Some(hint)));
        }
        None
    }

    /// One part, with names that have local values around it; sealed in a component's body, where only those are seen.
    fn walk_fragment(
        &mut self,
        file: &Arc<Source>,
        component: &str,
        fragment: &Fragment,
        scope: &BTreeSet<String>,
        in_component: bool,
        stack: &mut Vec<String>,
    ) {
        if !self.walked.insert((file.name.clone(), component.to_owned(), scope.clone(), in_component)) {
            return;
        }
        for name in &fragment.variables {
            self.add_need(&name.ident.text);
            // As with rosters, a local name counts; but in a component's body `host` is an argument and nothing else.
            self.uses_fqdn |= !in_component && name.is_fqdn();
            if !name.local && !scope.contains(&name.ident.text) {
                self.check_variable(file, name, in_component, fragment);
            }
        }
        for call in &fragment.includes {
            if let Some(included) = self.resolve_nested(file, &call.ident, stack) {
                let inner = scope.union(&call.scope).cloned().collect();
                self.walk_file(&included, &inner, in_component, stack);
            }
        }
        for call in &fragment.calls {
            let name = &call.ident.text;
            let Some(defining_file) = self.files.values().find(|file| file.uses.components.contains_key(name)).cloned()
            else {
                continue;
            };
            let component = &defining_file.uses.components[name];
            for ident in &component.implicit {
                self.add_need(&ident.text);
                self.uses_fqdn |= ident.text == "host";
            }
            self.walk_fragment(&defining_file, name, &component.body, &BTreeSet::new(), true, &mut Vec::new());
        }
    }

    /// A local name counts too: a `set` in one branch does not take the roster of that name away in the other.
    fn add_need(&mut self, name: &str) {
        if name == "rosters" {
            self.needs.all = true;
        } else if let Some((name, _)) = self.known.names.get_key_value(name) {
            self.needs.names.insert(Arc::clone(name));
        }
    }

    fn check_variable(&mut self, file: &Source, name: &Variable, in_component: bool, fragment: &Fragment) {
        let text = &name.ident.text;
        let found = if in_component { Lookup::Undefined } else { self.known.lookup(name) };
        let (span, message, hint) = match found {
            Lookup::Defined => return,
            Lookup::Undefined if name.guarded => return,
            Lookup::Undefined if in_component => (
                name.ident.span.clone(),
                format!("{text} is not an argument of this component, and a component sees only its arguments"),
                Some(format!("pass it where the component is used, or declare it as @{text}")),
            ),
            Lookup::Undefined => {
                let message = format!("there is no roster, key or variable named {text}");
                (
                    name.ident.span.clone(),
                    message,
                    Some(self.known.hint(text, fragment.locals.iter().map(String::as_str))),
                )
            }
            Lookup::UnknownField { field, message, hint } => (field.span.clone(), message, hint),
        };
        let problem = file.problem(span, message, hint);
        // A file that is included twice has its problems once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}
