//! Templates with `each`: a template of its own for each key of a roster, and for each key that is gone, until its file is.

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

/// Keys of which files were written, by the name of the template.
pub type WrittenKeys = BTreeMap<Arc<str>, BTreeSet<Arc<str>>>;

/// A template's name and a key.
type File = (Arc<str>, Arc<str>);

/// The templates with `each`, and what is known of their files in_batch the files' own templates.
#[derive(Debug, Default)]
pub struct PerKeyFiles {
    /// As they are configured.
    patterns: BTreeMap<Arc<str>, TemplatePlan>,
    /// Keys of files that an agent before this one wrote, until they are gone.
    written: WrittenKeys,
    /// Keys that have no file, and why not.
    unfit: BTreeMap<File, String>,
    /// Something changed that files are made of.
    due: bool,
}

impl PerKeyFiles {
    pub fn uses_roster(&self, roster: &str) -> bool {
        self.patterns.values().any(|plan| plan.config.each.as_ref().is_some_and(|each| &*each.roster == roster))
    }

    /// The template of a key's file as it would be made now, whether or not the key has been seen yet.
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
    /// Takes templates with `each` on: what is shown of one as a whole, and what its files are made by.
    pub fn set_patterns(&mut self, templates: Vec<TemplatePlan>) -> Vec<TemplatePlan> {
        self.per_key_files.patterns.clear();
        let each = templates.into_iter().map(|plan| {
            let Some(each) = plan.config.pattern() else { return plan };
            let needs = Needs { names: BTreeSet::from([Arc::clone(&each.roster)]), all: false };
            let whole = TemplatePlan { config: Arc::clone(&plan.config), needs };
            self.per_key_files.patterns.insert(Arc::clone(&plan.config.name), plan);
            whole
        });
        each.collect()
    }

    /// The files that there are templates for go on with the new configuration; `known` are the templates of the old.
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
        self.per_key_files.unfit.clear();
        self.claim_file_keys();
        self.per_key_files.mark_due();
    }

    /// Rosters let keys go whose files are to go with them, and know of every file that there may be.
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

    /// Makes the templates be those of the keys that there are.
    pub fn update_per_key_files(&mut self, events: &mut Vec<Event>) {
        if !std::mem::take(&mut self.per_key_files.due) {
            return;
        }
        let single = self.templates.values().map(|template| &template.plan().config);
        let single = single.filter(|config| config.each.is_none());
        let mut taken: BTreeMap<PathBuf, Arc<str>> =
            single.map(|config| (config.dest.clone(), Arc::clone(&config.name))).collect();
        let patterns: Vec<TemplatePlan> = self.per_key_files.patterns.values().cloned().collect();
        let mut unfit = BTreeMap::new();
        for plan in &patterns {
            self.update_files_of(plan, &mut taken, &mut unfit);
        }
        let known = std::mem::replace(&mut self.per_key_files.unfit, unfit);
        for ((template, key), why) in self.per_key_files.unfit.iter().filter(|(file, _)| !known.contains_key(*file)) {
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
        unfit: &mut BTreeMap<File, String>,
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
                unfit.insert((Arc::clone(&each.template), Arc::clone(key)), why);
                // Whatever stands there is not, or not any more, this template's.
                own.get(key).map(|name| self.templates.remove(name));
            }
        }
        for key in lost {
            if each.on_gone == OnGone::Remove {
                // What cannot be a file was never one.
                let _ = self.ensure_file(plan, own.get(&key), &key, None, taken);
            } else {
                own.get(&key).map(|name| self.templates.remove(name));
            }
        }
    }

    /// Sees to it that there is a template for a key, with its members or, without any, to take its file away.
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
            return Err(format!("a template is named {} already", config.name));
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

    /// A key's file is gone: there is nothing left to say of it.
    pub fn drop_removed_file(&mut self, name: &Arc<str>) {
        let Some(file) = self.templates.get(name).filter(|file| file.is_removed()) else { return };
        if let Some((each, key)) = file.plan().config.file_of()
            && let Some(keys) = self.per_key_files.written.get_mut(&each.template)
        {
            keys.remove(key);
        }
        self.templates.remove(name);
    }

    /// The keys of a template with `each` that have no file, and why not.
    pub fn without_file(&self, template: &str) -> impl Iterator<Item = (&Arc<str>, &String)> {
        let of = move |file: &&File| &*file.0 == template;
        self.per_key_files.unfit.iter().filter(move |(file, _)| of(file)).map(|((_, key), why)| (key, why))
    }

    /// The templates of a template's files, by key.
    pub fn files(&self, template: &str) -> impl Iterator<Item = (&Arc<str>, &Template)> {
        self.templates.values().filter_map(move |file| {
            let (each, key) = file.plan().config.file_of()?;
            (&*each.template == template).then_some((key, file))
        })
    }

    /// Keys have files from before the agent began.
    pub fn set_written_keys(&mut self, written: WrittenKeys) {
        self.per_key_files.written = written;
        self.claim_file_keys();
    }
}
