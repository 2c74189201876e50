//! `[[template]]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::{Group, User};
use toml::de::DeValue;

use super::command::{command, reload, shell_path};
use super::dest::{Dests, is_directory, name_fits};
use super::file::check_permissions;
use super::interpolate::Interpolation;
use super::keys::{CONFD, TEMPLATE};
use super::names::Names;
use super::per_key::{LOCAL_NAMES, each};
use super::placing::{DestUse, placing};
use super::post_write::{on_reload_failure, roll_back_as_one, verify};
use super::problem::{Report, ValueError};
use super::table::{Table, Value};
use super::trust::Trust;
use super::unit::{STAGED, check_staged, unit};
use super::{Command, Each, OnDrift, Placeholder, Reload, RosterConfig, TemplateConfig, per_key, scalar};

/// The values of `on_drift`.
const ON_DRIFT: [(&str, OnDrift); 2] = [("correct", OnDrift::Correct), ("report", OnDrift::Report)];

/// Reads templates.
pub struct TemplateParser<'a> {
    /// Interpolates destinations.
    pub fill: &'a Interpolation<'a>,
    /// The template directory.
    pub template_dir: &'a Path,
    /// Directories that are used although other users may write to them.
    pub trust: &'a Trust,
    /// Every roster.
    pub rosters: &'a [Arc<RosterConfig>],
    /// The names of rosters and keys.
    pub roster_names: Names,
    /// The names of templates so far.
    pub names: Names,
    /// Destinations so far.
    pub dests: Dests,
}

impl TemplateParser<'_> {
    /// Every template of these files.
    pub fn templates(&mut self, tops: &[Table<'_>], report: &Report) -> Vec<Arc<TemplateConfig>> {
        let tables = tops.iter().filter_map(|top| top.get("template")).flat_map(|value| match value.raw() {
            DeValue::Table(_) if !value.source.main => {
                value.table(&[&TEMPLATE, &CONFD], "[template]").into_iter().collect()
            }
            _ => value.tables(&[&TEMPLATE]),
        });
        let tables: Vec<_> = tables.collect();
        for source in tables.iter().filter_map(|table| table.get("src")) {
            if let DeValue::String(src) = source.raw() {
                self.dests.add_input(&self.template_dir.join(&**src), "the source of a template");
            }
        }
        let read = tables.iter().filter_map(|table| Some((table, self.template(table, report)?)));
        let read: Vec<_> = read.collect();
        if read.len() == tables.len() && !report.is_incomplete() {
            check_staged(&read);
        }
        let mut templates: Vec<_> = read.into_iter().map(|(_, template)| template).collect();
        roll_back_as_one(&mut templates);
        templates.into_iter().map(Arc::new).collect()
    }

    /// Reads one template; `None` if its source or destination is invalid, which has been reported.
    fn template(&mut self, table: &Table<'_>, report: &Report) -> Option<TemplateConfig> {
        let src = table.require("src", "\"haproxy.cfg.tera\"").and_then(|value| self.src(&value, report));
        let dest_value = table.require("dest", "\"/etc/haproxy/haproxy.cfg\"");
        let each = each(table, self.rosters, !report.is_incomplete());
        let (mode, placing) = (table.get("mode").and_then(|value| mode(&value)), placing(table));
        let (owner, group) = (id(table, "owner", "uid", &user), id(table, "group", "gid", &group));
        let dest = dest_value.and_then(|value| {
            let place = value.source.place(value.span().start);
            let dest_use = DestUse { place, placing: placing.clone(), mode, owner, group };
            self.dest(&value, table.get("each").is_some(), dest_use)
        });
        let per_key = each.as_ref().map(|each| Path::new(&*each.roster));
        let name = self.name(table, per_key.or(dest.as_deref()));
        self.reject_local_names(table);
        let check = table.get("check_cmd").and_then(|value| command(&value));
        let reload = table.get("reload_cmd").and_then(|value| reload(&value));
        if let (Some(value), Some(dest)) = (dest_value, &dest.as_deref().map(per_key::example)) {
            if let Some(check) = &check {
                value.accept(shell_path(check, "check_cmd", dest));
            }
            if let Some(Reload::Command(reload)) = &reload {
                value.accept(shell_path(reload, "reload_cmd", dest));
            }
        }
        let verify = verify(table, dest.as_deref().map(per_key::example).as_deref());
        let duration = |key, default| table.get(key).and_then(|value| value.timeout("\"30s\"")).unwrap_or(default);
        let interval = table.get("reload_interval").and_then(|value| value.duration("\"5s\""));
        check_confd(table);
        if let (Some(value), Some(check)) = (table.get("check_cmd"), &check) {
            warn_without_src(&value, check, report);
        }
        let make_dirs = table.get("make_dirs").and_then(|value| value.boolean()).unwrap_or(false);
        if let (Some(value), Some(dest), false) = (dest_value, &dest, make_dirs) {
            warn_without_directory(&value, dest, report);
        }
        let (name, dest) = (name?, dest?);
        let fill = |reload: Reload| if each.is_some() { reload } else { reload.filled(&dest) };
        let verify = verify.map(|verify| if each.is_some() { verify } else { verify.filled(&dest) });
        Some(TemplateConfig {
            src: src?,
            mode,
            owner,
            group,
            check,
            reload: reload.map(fill),
            check_timeout: duration("check_timeout", TemplateConfig::TIMEOUT),
            reload_timeout: duration("reload_timeout", TemplateConfig::TIMEOUT),
            reload_interval: interval.unwrap_or(TemplateConfig::RELOAD_INTERVAL),
            reload_retries: table.get("reload_retries").and_then(|value| retries(&value)),
            verify,
            splay: table.get("splay").and_then(|value| value.duration("\"30s\"")).unwrap_or_default(),
            on_reload_failure: on_reload_failure(table),
            unit: unit(table, &placing),
            make_dirs,
            on_drift: table.get("on_drift").and_then(|value| value.choice(&ON_DRIFT)).unwrap_or(OnDrift::Correct),
            isolate: table.get("isolate").and_then(|value| value.boolean()).unwrap_or(true),
            placing,
            env: table.get("env").map(|value| env(&value)).unwrap_or_default(),
            each: each.map(|each| Each { template: Arc::clone(&name), ..each }),
            name,
            dest,
        })
    }

    /// Rejects rosters and keys with a name that a template with `each` or `unit` defines.
    fn reject_local_names(&self, table: &Table<'_>) {
        for (key, names) in [("each", &LOCAL_NAMES[..]), ("unit", &[STAGED])] {
            let Some(value) = table.get(key) else { continue };
            for name in names.iter().filter(|name| self.roster_names.contains(name)) {
                let message =
                    format!("a roster or key is named {name:?}, which is reserved in a template with `{key}`");
                value.reject(ValueError::new(message, "give the roster or key another `name`"));
            }
        }
    }

    /// Reads `src`: a file that is not writable by everyone.
    fn src(&self, value: &Value<'_>, report: &Report) -> Option<PathBuf> {
        let src = value.text("\"haproxy.cfg.tera\"")?;
        let file = self.template_dir.join(src);
        let hint = format!("src is relative to template_dir, which is {}", self.template_dir.display());
        value.accept(is_template(src, &file, &hint))?;
        check_permissions(&file, "the template", Some(self.trust), report, &|wrong| value.reject(wrong));
        Some(PathBuf::from(src))
    }

    /// Reads `dest`: an absolute path of a file that no other template writes, except for other blocks.
    fn dest(&mut self, value: &Value<'_>, per_key: bool, dest_use: DestUse) -> Option<PathBuf> {
        let fill = Interpolation { keeps_key: per_key, ..*self.fill };
        let text = value.filled(&fill, "\"/etc/haproxy/haproxy.cfg\"")?;
        let dest = value.source.base.join(&text);
        if is_directory(&text) || dest.file_name().is_none() {
            let wrong = ValueError::new(
                format!("dest {text:?} names a directory, but a template writes one file"),
                "add the file's name",
            );
            value.reject(wrong);
            return None;
        }
        if per_key {
            per_key::check_dest(value, &dest)?;
        }
        value.accept(name_fits(&dest, &dest_use.placing).and_then(|()| self.dests.add(&dest, dest_use)))?;
        Some(dest)
    }

    /// The name as written, or the file name of the destination; with `each` the name of the roster.
    fn name(&mut self, table: &Table<'_>, dest: Option<&Path>) -> Option<Arc<str>> {
        let written = table.get("name");
        let default = dest.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let name = match &written {
            Some(value) => value.text("\"haproxy\"")?.to_owned(),
            None => default?,
        };
        self.names.add(&name, "template", written.as_ref().or(table.get("dest").as_ref()), table);
        Some(Arc::from(name))
    }
}

/// Checks that a source is a file.
pub fn is_template(src: &str, file: &Path, hint: &str) -> Result<(), ValueError> {
    let shown = file.display();
    match std::fs::metadata(file) {
        Ok(meta) if meta.is_dir() => {
            Err(ValueError::new(format!("the template {shown} is a directory"), "name a file in it"))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(ValueError::new(format!("the template {src:?} cannot be found: {error}"), hint)),
    }
}

/// Warns of a check that does not name the new file.
fn warn_without_src(value: &Value<'_>, check: &Command, report: &Report) {
    let names_new = check.placeholders().any(|(_, placeholder)| placeholder != Placeholder::Dest);
    if !names_new && !check.to_string().contains("ROSTERD_SRC") {
        let place = value.source.place(value.span().start);
        report.warn(format!(
            "{place}: check_cmd has no {{{{ src }}}}, so it checks the old file, unless the program reads $ROSTERD_SRC"
        ));
    }
}

/// Warns of a destination whose directory does not exist.
fn warn_without_directory(value: &Value<'_>, dest: &Path, report: &Report) {
    if let Some(directory) = dest.parent().filter(|directory| !directory.exists()) {
        let (place, directory) = (value.source.place(value.span().start), directory.display());
        report.warn(format!(
            "{place}: the directory of dest, {directory}, does not exist (create it, or set make_dirs = true)"
        ));
    }
}

/// `mode = "0644"`. Numbers are rejected: 644 would be decimal.
fn mode(value: &Value<'_>) -> Option<u32> {
    if let DeValue::Integer(number) = value.raw() {
        let digits = number.as_str();
        let meant = if matches!(number.radix(), 8 | 10) && scalar::mode(digits).is_ok() { digits } else { "0644" };
        value.reject_kind("a string of octal digits", &format!("\"{meant:0>4}\""));
        return None;
    }
    value.read(scalar::mode, "\"0644\"")
}

/// A user or group ID, given by name or number, in the key of rosterd or of confd.
fn id(table: &Table<'_>, key: &'static str, number_key: &'static str, find: &Find) -> Option<u32> {
    let (named, numbered) = (table.get(key), table.get(number_key));
    if let (Some(_), Some(value)) = (&named, &numbered) {
        let message = format!("`{number_key}` means the same as `{key}`");
        value.reject(ValueError::new(message, format!("remove one of them; rosterd's own name is `{key}`")));
    }
    let value = named.or(numbered)?;
    let number = if let DeValue::Integer(_) = value.raw() {
        value.count("0")?
    } else {
        let text = value.text("\"root\"")?;
        let over = |_| ValueError::new(format!("{text} is too large for an ID"), "write a smaller ID");
        value.accept(if scalar::is_digits(text) { text.parse().map_err(over) } else { find(text) })?
    };
    if number == u32::MAX {
        // chown(2) leaves the owner unchanged for this ID.
        value.reject(ValueError::new(
            format!("{number} is not a valid ID"),
            format!("remove `{key}` to keep the current {key}"),
        ));
        return None;
    }
    Some(number)
}

/// Finds a user or a group by name.
type Find = dyn Fn(&str) -> Result<u32, ValueError>;

/// Finds a user ID.
fn user(name: &str) -> Result<u32, ValueError> {
    found("user", name, User::from_name(name).map(|user| user.map(|user| user.uid.as_raw())))
}

/// Finds a group ID.
pub fn group(name: &str) -> Result<u32, ValueError> {
    found("group", name, Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw())))
}

/// Converts the result of a lookup.
fn found(what: &str, name: &str, answer: nix::Result<Option<u32>>) -> Result<u32, ValueError> {
    match answer {
        Ok(Some(id)) => Ok(id),
        Ok(None) => {
            let kept = if what == "user" { "owner" } else { what };
            let hint =
                format!("create it, write a numeric ID, or remove this setting to leave the file's {kept} as it is");
            Err(ValueError::new(format!("there is no {what} {name:?} on this host"), hint))
        }
        Err(error) => {
            let hint = format!("write the {what}'s number instead");
            Err(ValueError::new(format!("the {what} {name:?} cannot be looked up: {error}"), hint))
        }
    }
}

/// `reload_retries`: "unlimited", or the number of attempts.
fn retries(value: &Value<'_>) -> Option<u32> {
    if let DeValue::String(text) = value.raw() {
        if text != "unlimited" {
            let hint = "write \"unlimited\", or a number without quotes";
            value.reject(ValueError::new(format!("`reload_retries` cannot be {text:?}"), hint));
        }
        return None;
    }
    let tries: u32 = value.count("\"unlimited\"")?;
    if tries == 0 {
        let hint = "write the number of attempts, 1 or more; to run no reload, remove reload_cmd";
        value.reject(ValueError::new("`reload_retries` is 0, so no reload would ever run", hint));
    }
    Some(tries)
}

/// `env = { … }`: valid names of shell variables without the prefix `ROSTERD_`.
pub fn env(value: &Value<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let entries = value.map().unwrap_or_else(|| {
        value.reject_kind("a table", "{ TZ = \"UTC\" }");
        Vec::new()
    });
    for entry in entries {
        let DeValue::String(text) = entry.raw() else {
            entry.reject_kind("a string", "\"…\"");
            continue;
        };
        if !scalar::is_identifier(entry.key) || entry.key.starts_with("ROSTERD_") {
            let hint =
                "write letters, digits and _, not beginning with a digit; names that begin with ROSTERD_ are reserved";
            let why = if entry.key.starts_with("ROSTERD_") {
                "is reserved"
            } else {
                "is not a valid name of an environment variable"
            };
            entry.reject(ValueError::new(format!("{:?} {why}", entry.key), hint));
        } else if text.contains('\0') {
            entry.reject(ValueError::new(format!("`{}` contains a NUL", entry.key), "remove it"));
        } else {
            env.insert(entry.key.to_owned(), text.clone().into_owned());
        }
    }
    env
}

/// Checks only the types of `keys` and `prefix` of confd: rosterd reads what its rosters name.
fn check_confd(table: &Table<'_>) {
    for item in table.get("keys").and_then(|value| value.items("[\"/services/web\"]")).unwrap_or_default() {
        item.text("[\"/services/web\"]");
    }
    if let Some(prefix) = table.get("prefix")
        && !matches!(prefix.raw(), DeValue::String(_))
    {
        prefix.reject_kind("a string", "\"/production\"");
    }
}
