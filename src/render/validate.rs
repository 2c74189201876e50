//! Finds every error in a template that can be known without members.
//!
//! A template is validated together with everything it includes, extends and uses components from. Scopes are those of
//! Tera: an included template sees the local names at the include, a component sees only its arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::config::{LOCKS, Problem, STAGED};
use crate::decide::Needs;
use crate::text::nearest::nearest;

use super::names::{KnownNames, Lookup, NameKind, lock_of};
use super::source::{Source, SourceError, Sources, plain};
use super::uses::{Fragment, Ident, Variable};
use super::{filter, names};

/// The files that a template consists of, by name.
pub type Files = BTreeMap<String, Arc<Source>>;

/// Local names, and whether each is of members.
type Locals = BTreeMap<String, bool>;

/// A valid template.
pub struct Validated {
    /// The template and every file it uses.
    pub files: Files,
    /// The names it depends on.
    pub needs: Needs,
    /// Whether it uses `host.fqdn`, or `host` as a whole.
    pub uses_fqdn: bool,
    /// Whether it names files of its unit with `staged`.
    pub uses_staged: bool,
}

/// Validates one template.
///
/// # Errors
/// Every problem in the template and in the files it uses.
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
        uses_staged: false,
    };
    validator.collect_files(entry);
    let files: Vec<Arc<Source>> = validator.files.values().cloned().collect();
    for file in &files {
        validator.check_builtins(file);
    }
    validator.walk_file(entry, &Locals::new(), None, &mut Vec::new());
    let Validator { files, problems, needs, uses_fqdn, uses_staged, .. } = validator;
    if problems.is_empty() { Ok(Validated { files, needs, uses_fqdn, uses_staged }) } else { Err(problems) }
}

/// The message and the hint for an unknown filter, test or function.
pub fn unknown_builtin(kind: &str, ident: &str, all: &[&str]) -> Option<(String, String)> {
    let hint = || names::builtin_hint(kind, ident, all);
    (!all.contains(&ident)).then(|| (format!("unknown {kind} {ident}"), hint()))
}

struct Validator<'a> {
    sources: &'a mut Sources,
    known: &'a KnownNames<'a>,
    files: BTreeMap<String, Arc<Source>>,
    /// Files and components with a reported problem.
    reported: BTreeSet<String>,
    /// Visited fragments: file, component, local names, whether inside a component, and of members.
    walked: BTreeSet<(String, String, Locals, Option<bool>)>,
    problems: Vec<Problem>,
    needs: Needs,
    uses_fqdn: bool,
    uses_staged: bool,
}

impl Validator<'_> {
    /// Reads every file that the template uses.
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

    /// Reads the template that an include or an extends names.
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

    /// Reads the files that define components which are called and not yet read.
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
                        let hint = "make the file readable by rosterd's user".to_owned();
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
                    file.problem(call.ident.span.clone(), format!("unknown component {name}"), Some(hint))
                }
            };
            if self.reported.insert(format!("<{name}>")) {
                self.problems.push(problem);
            }
        }
        found
    }

    /// Checks the filters, tests and functions of one file.
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

    /// Checks a file and its parents.
    fn walk_file(&mut self, file: &Arc<Source>, scope: &Locals, in_component: Option<bool>, stack: &mut Vec<String>) {
        stack.push(file.name.clone());
        let mut scope = scope.clone();
        // Blocks of a child and its parents can see the variables that the others set, depending on the render order.
        scope.extend(
            file.uses.body.sets.iter().filter(|_| file.uses.extends.is_some()).map(|name| (name.clone(), false)),
        );
        if let Some(ident) = &file.uses.extends
            && let Some(parent) = self.resolve_nested(file, ident, stack)
        {
            scope.extend(parent.uses.body.sets.iter().map(|name| (name.clone(), false)));
            self.walk_file(&parent, &scope, in_component, stack);
        }
        self.walk_fragment(file, "", &file.uses.body, &scope, in_component, stack);
        stack.pop();
    }

    /// Returns the included or extended file, unless it is already being visited.
    fn resolve_nested(&mut self, file: &Source, ident: &Ident, stack: &[String]) -> Option<Arc<Source>> {
        let next = self.files.get(&ident.text).cloned()?;
        if !stack.contains(&next.name) {
            return Some(next);
        }
        if self.reported.insert(format!("circle {}", next.name)) {
            let message = format!("a template cannot include or extend itself: {} → {}", stack.join(" → "), next.name);
            let hint = "remove this, or another include or extends of the cycle".to_owned();
            self.problems.push(file.problem(ident.span.clone(), message, Some(hint)));
        }
        None
    }

    /// Checks one fragment. `scope` has the local names around it, and whether each is of members; the body of a component
    /// sees nothing else. Inside a component, `in_component` says whether its arguments may be members.
    fn walk_fragment(
        &mut self,
        file: &Arc<Source>,
        component: &str,
        fragment: &Fragment,
        scope: &Locals,
        in_component: Option<bool>,
        stack: &mut Vec<String>,
    ) {
        if !self.walked.insert((file.name.clone(), component.to_owned(), scope.clone(), in_component)) {
            return;
        }
        for name in &fragment.variables {
            self.add_need(&name.ident.text, name.fields.first().map(|field| &*field.text));
            // A local name counts, as for rosters. In the body of a component, `host` is only an argument.
            self.uses_fqdn |= in_component.is_none() && name.is_fqdn();
            let is_local = name.local || scope.contains_key(&name.ident.text);
            let of_members = |origin: &str| self.is_of_members(origin, scope, in_component);
            self.needs.reads_port |= is_local && name.port_of().is_some_and(of_members);
            if !is_local {
                self.check_variable(file, name, in_component.is_some(), fragment);
            }
        }
        for call in &fragment.includes {
            if let Some(included) = self.resolve_nested(file, &call.ident, stack) {
                let mut inner = scope.clone();
                inner.extend(call.scope.iter().map(|(name, origin)| {
                    let of_members = |origin: &String| self.is_of_members(origin, scope, in_component);
                    (name.clone(), origin.as_ref().is_some_and(of_members))
                }));
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
                self.add_need(&ident.text, None);
                self.uses_fqdn |= ident.text == "host";
            }
            let implicit = component.implicit.iter().map(|ident| &ident.text);
            let of_members =
                call.arguments.iter().chain(implicit).any(|it| self.is_of_members(it, scope, in_component));
            self.walk_fragment(
                &defining_file,
                name,
                &component.body,
                &Locals::new(),
                Some(of_members),
                &mut Vec::new(),
            );
        }
    }

    /// Whether values come from members: from a roster, from what an including template took from one, or from an argument
    /// of a component that is called with some.
    fn is_of_members(&self, origin: &str, scope: &Locals, in_component: Option<bool>) -> bool {
        let is_roster = || matches!(self.known.names.get(origin), Some(NameKind::List | NameKind::Map));
        let of_roster = || origin == "rosters" || is_roster();
        in_component.or_else(|| scope.get(origin).copied()).unwrap_or_else(of_roster)
    }

    /// Local names count too: after a `set` in one branch, the other branch still reads the roster of that name.
    fn add_need(&mut self, name: &str, field: Option<&str>) {
        if name == "rosters" {
            self.needs.all = true;
        } else if name == STAGED {
            self.uses_staged |= self.known.unit.is_some();
        } else if let Some((name, _)) = self.known.names.get_key_value(name) {
            self.needs.names.insert(Arc::clone(name));
        } else if name == LOCKS {
            let all = self.known.names.keys();
            let is_named = |lock: &str| field.is_none_or(|field| lock == field);
            self.needs.names.extend(all.filter(|key| lock_of(key).is_some_and(is_named)).cloned());
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
        // A file that is included twice reports its problems once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}
