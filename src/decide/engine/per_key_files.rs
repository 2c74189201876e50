//! Templates with `each`: one template for each key of a roster. The template of a key that is gone stays until its
//! file is removed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::Engine;
use crate::config::{OnGone, TemplateConfig};
use crate::decide::event::Event;
use crate::decide::needs::Needs;
use crate::decide::plan::TemplatePlan;
use crate::decide::publication::{RosterValue, SlottedMembers};
use crate::decide::template::Template;

/// The keys whose files were written, by template name.
pub type WrittenKeys = BTreeMap<Arc<str>, BTreeSet<Arc<str>>>;

/// A template's name and a key.
type File = (Arc<str>, Arc<str>);

/// The templates with `each`, and what is known of their files beyond the files' own templates.
#[derive(Debug, Default)]
pub struct PerKeyFiles {
    /// Their configurations.
    patterns: BTreeMap<Arc<str>, TemplatePlan>,
    /// Keys whose files an earlier run wrote, until the files are removed.
    written: WrittenKeys,
    /// Keys that have no file, with the reason.
    skipped: BTreeMap<File, String>,
    /// The files must be derived again.
    due: bool,
}

impl PerKeyFiles {
    pub fn uses_roster(&self, roster: &str) -> bool {
        self.patterns.values().any(|plan| plan.config.each.as_ref().is_some_and(|each| &*each.roster == roster))
    }

    /// The template of a key's file under the current configuration, even if the key was not seen yet.
    pub fn file_config(&self, known: &TemplateConfig) -> Option<TemplateConfig> {
        let (each, key) = known.file_of()?;
        let plan = self.patterns.get(&each.template)?;
        plan.config.for_key(key).ok()
    }

    pub fn mark_due(&mut self) {
        self.due = true;
    }
}

impl Engine {
    /// Stores the templates with `each`. Returns the templates, with those that have `each` as one entry that shows
    /// their state as a whole.
    pub fn set_patterns(&mut self, templates: Vec<TemplatePlan>) -> Vec<TemplatePlan> {
        self.per_key_files.patterns.clear();
        let each = templates.into_iter().map(|plan| {
            let Some(each) = plan.config.pattern() else { return plan };
            let needs = Needs { names: BTreeSet::from([Arc::clone(&each.roster)]), ..Needs::default() };
            let whole = TemplatePlan { config: Arc::clone(&plan.config), needs };
            self.per_key_files.patterns.insert(Arc::clone(&plan.config.name), plan);
            whole
        });
        each.collect()
    }

    /// Applies the new configuration to the templates of existing files. `known` are the templates of the old
    /// configuration.
    pub fn carry_over_files(&mut self, known: BTreeMap<Arc<str>, Template>) {
        for (name, mut file) in known {
            let Some((each, key)) = file.plan().config.file_of() else { continue };
            let Some(plan) = self.per_key_files.patterns.get(&each.template) else { continue };
            if self.templates.contains_key(&name) {
                continue;
            }
            if let Ok(config) = plan.config.for_key(key) {
                file.replan(TemplatePlan { config: Arc::new(config), needs: plan.needs.clone() });
                self.templates.insert(name, file);
            }
        }
        self.per_key_files.skipped.clear();
        self.claim_file_keys();
        self.per_key_files.mark_due();
    }

    /// Tells each roster whether its keys are removed with their nodes, and which keys have files.
    fn claim_file_keys(&mut self) {
        let mut goes: BTreeMap<Arc<str>, BTreeSet<Arc<str>>> = BTreeMap::new();
        for (name, plan) in &self.per_key_files.patterns {
            let Some(each) = plan.config.pattern().filter(|each| each.on_gone == OnGone::Remove) else { continue };
            let keys = goes.entry(Arc::clone(&each.roster)).or_default();
            keys.extend(self.per_key_files.written.get(name).into_iter().flatten().cloned());
            let files = self.templates.values().filter_map(|file| file.plan().config.file_of());
            keys.extend(files.filter(|(of, _)| of.template == *name).map(|(_, key)| Arc::clone(key)));
        }
        for (name, roster) in &mut self.rosters {
            let keys = goes.remove(name);
            roster.set_keys_removable(keys.is_some());
            if let Some(keys) = keys.filter(|keys| !keys.is_empty()) {
                roster.add_file_keys(keys.into_iter());
            }
        }
    }

    /// Creates and removes templates, so that they match the keys that exist.
    pub fn update_per_key_files(&mut self, events: &mut Vec<Event>) {
        if !std::mem::take(&mut self.per_key_files.due) {
            return;
        }
        let single = self.templates.values().map(|template| &template.plan().config);
        let single = single.filter(|config| config.each.is_none());
        let mut taken: BTreeMap<PathBuf, Arc<str>> =
            single.map(|config| (config.dest.clone(), Arc::clone(&config.name))).collect();
        let patterns: Vec<TemplatePlan> = self.per_key_files.patterns.values().cloned().collect();
        let mut skipped = BTreeMap::new();
        for plan in &patterns {
            self.update_files_of(plan, &mut taken, &mut skipped);
        }
        self.restore_pins();
        let known = std::mem::replace(&mut self.per_key_files.skipped, skipped);
        for ((template, key), why) in self.per_key_files.skipped.iter().filter(|(file, _)| !known.contains_key(*file)) {
            events.push(Event::KeySkipped {
                template: Arc::clone(template),
                key: Arc::clone(key),
                reason: why.clone(),
            });
        }
    }

    fn update_files_of(
        &mut self,
        plan: &TemplatePlan,
        taken: &mut BTreeMap<PathBuf, Arc<str>>,
        skipped: &mut BTreeMap<File, String>,
    ) {
        let Some((each, roster)) = plan.config.pattern().and_then(|each| Some((each, self.rosters.get(&each.roster)?)))
        else {
            return;
        };
        let keys = match roster.value() {
            Some(RosterValue::Map(keys)) => {
                let wanted = keys.iter().filter(|(key, _)| each.is_wanted(key));
                wanted.map(|(key, slotted)| (Arc::clone(key), Arc::clone(slotted))).collect()
            }
            _ => BTreeMap::new(),
        };
        let own = self.templates.iter().filter_map(|(name, file)| {
            let (of, key) = file.plan().config.file_of()?;
            (of.template == each.template).then(|| (Arc::clone(key), Arc::clone(name)))
        });
        let own: BTreeMap<Arc<str>, Arc<str>> = own.collect();
        let written = self.per_key_files.written.get(&each.template).into_iter().flatten();
        let lost = own.keys().chain(written).filter(|key| each.is_wanted(key) && roster.is_key_removed(key));
        let lost: BTreeSet<Arc<str>> = lost.cloned().collect();
        for (key, slotted) in &keys {
            let made = self.ensure_file(plan, own.get(key), key, Some(slotted), taken);
            if let Err(why) = made {
                skipped.insert((Arc::clone(&each.template), Arc::clone(key)), why);
                // The file, if there is one, is not or no longer this template's.
                own.get(key).map(|name| self.templates.remove(name));
            }
        }
        for key in lost {
            if each.on_gone == OnGone::Remove {
                // A key without a valid file name never had a file.
                let _ = self.ensure_file(plan, own.get(&key), &key, None, taken);
            } else {
                own.get(&key).map(|name| self.templates.remove(name));
            }
        }
    }

    /// Ensures that a key has a template: with its members, or, without members, to remove its file.
    fn ensure_file(
        &mut self,
        plan: &TemplatePlan,
        name: Option<&Arc<str>>,
        key: &Arc<str>,
        slotted: Option<&SlottedMembers>,
        taken: &mut BTreeMap<PathBuf, Arc<str>>,
    ) -> Result<(), String> {
        let known = name.and_then(|name| self.templates.get(name)).map(|file| Arc::clone(&file.plan().config));
        let config = match known {
            Some(config) => config,
            None => Arc::new(plan.config.for_key(key)?),
        };
        if let Some(other) = taken.get(&config.dest) {
            return Err(format!("{} is written by the template {other}", config.dest.display()));
        }
        if name.is_none() && self.templates.contains_key(&config.name) {
            return Err(format!("a template named {} already exists", config.name));
        }
        taken.insert(config.dest.clone(), Arc::clone(&config.name));
        let needs = &plan.needs;
        let file = self
            .templates
            .entry(Arc::clone(&config.name))
            .or_insert_with(|| Template::new(TemplatePlan { config, needs: needs.clone() }));
        file.set_members(slotted);
        Ok(())
    }

    /// Drops the template of a key whose file is removed.
    pub fn drop_removed_file(&mut self, name: &Arc<str>) {
        let Some(file) = self.templates.get(name).filter(|file| file.is_removed()) else { return };
        if let Some((each, key)) = file.plan().config.file_of()
            && let Some(keys) = self.per_key_files.written.get_mut(&each.template)
        {
            keys.remove(key);
        }
        self.templates.remove(name);
    }

    /// The keys of a template with `each` that have no file, with the reasons.
    pub fn without_file(&self, template: &str) -> impl Iterator<Item = (&Arc<str>, &String)> {
        let of = move |file: &&File| &*file.0 == template;
        self.per_key_files.skipped.iter().filter(move |(file, _)| of(file)).map(|((_, key), why)| (key, why))
    }

    /// The templates of a template's files, by key.
    pub fn files(&self, template: &str) -> impl Iterator<Item = (&Arc<str>, &Template)> {
        self.templates.values().filter_map(move |file| {
            let (each, key) = file.plan().config.file_of()?;
            (&*each.template == template).then_some((key, file))
        })
    }

    /// Records the keys whose files earlier runs wrote.
    pub fn set_written_keys(&mut self, written: WrittenKeys) {
        self.per_key_files.written = written;
        self.claim_file_keys();
    }
}
