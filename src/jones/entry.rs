//! An entry of a service's history: what one transaction changed, and who says to have made it.

use std::collections::BTreeMap;

use super::json::{Json, Object};
use super::path::Env;

#[cfg(test)]
mod tests;

/// An entry. Its revision is the number in the name of its node.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Entry {
    /// The command: `set`, `create`, `rollback` …
    pub op: String,
    /// Who made the change, as the writer claims: `ada@host`.
    pub author: String,
    /// The program that wrote it.
    pub via: String,
    /// Why.
    pub comment: String,
    /// When, by the writer's clock, in RFC 3339.
    pub at: String,
    /// A random number by which a writer that lost its connection finds out whether the transaction was done.
    pub id: String,
    /// The changed environments, the first of which the command names.
    pub changes: Vec<EnvChange>,
    /// The path of each host whose association changed, before and after.
    pub nodemaps: BTreeMap<String, (Option<String>, Option<String>)>,
    /// The SHA-256 of each view that was written.
    pub views: BTreeMap<String, String>,
}

/// What happened to the `conf` of an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvChange {
    /// The environment.
    pub env: Env,
    /// What it was before; `None` if it did not exist.
    pub before: Option<Before>,
    /// Its new content; `None` if it was deleted.
    pub after: Option<Object>,
}

/// A `conf` before a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Before {
    /// Its version.
    pub version: i32,
    /// Its content; `None` if it was left out, to keep the entry small, or was no object.
    pub conf: Option<Object>,
}

impl Entry {
    /// The data of the entry's node.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Object::new();
        let mut put = |key: &str, value: Json| _ = out.insert(key.to_owned(), value);
        put("op", self.op.as_str().into());
        let mut changes = self.changes.iter();
        if let Some(first) = changes.next() {
            for (key, value) in first.fields() {
                put(&key, value);
            }
        }
        for (key, text) in [
            ("author", &self.author),
            ("via", &self.via),
            ("comment", &self.comment),
            ("at", &self.at),
            ("id", &self.id),
        ] {
            put(key, text.as_str().into());
        }
        let others: Vec<Json> = changes.map(|change| Json::Object(change.fields())).collect();
        if !others.is_empty() {
            put("also", Json::Array(others));
        }
        let path = |path: &Option<String>| path.as_deref().map_or(Json::Null, Json::from);
        let hosts =
            self.nodemaps.iter().map(|(host, (from, to))| (host.clone(), Json::Array(vec![path(from), path(to)])));
        put("nodemaps", Json::Object(hosts.collect()));
        let views = self.views.iter().map(|(env, hash)| (env.clone(), hash.as_str().into()));
        put("views", Json::Object(views.collect()));
        super::json::bytes(&out)
    }

    /// Parses the data of an entry's node.
    ///
    /// # Errors
    /// It is not an entry.
    pub fn parse(data: &[u8]) -> Result<Self, String> {
        let object = Json::parse_object(data)?;
        let text = |key: &str| object.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
        let first = object.get("env").map(|_| EnvChange::parse(&object)).transpose()?;
        let others = match object.get("also") {
            Some(Json::Array(items)) => items.iter().filter_map(Json::as_object).map(EnvChange::parse).collect(),
            _ => Ok(Vec::new()),
        };
        let map = |key: &str| object.get(key).and_then(Json::as_object).into_iter().flatten();
        let path = |path: Option<&Json>| path.and_then(Json::as_str).map(str::to_owned);
        let host = |(host, paths): (&String, &Json)| match paths {
            Json::Array(paths) => Some((host.clone(), (path(paths.first()), path(paths.get(1))))),
            _ => None,
        };
        Ok(Self {
            op: text("op"),
            author: text("author"),
            via: text("via"),
            comment: text("comment"),
            at: text("at"),
            id: text("id"),
            changes: first.into_iter().chain(others?).collect(),
            nodemaps: map("nodemaps").filter_map(host).collect(),
            views: map("views").filter_map(|(env, hash)| Some((env.clone(), hash.as_str()?.to_owned()))).collect(),
        })
    }

    /// Checks that the data of an entry can be read again: a `conf` is deeper in an entry than in its own node.
    ///
    /// # Errors
    /// It cannot: why.
    pub fn verify(data: &[u8]) -> Result<(), String> {
        let why = match Self::parse(data) {
            Ok(entry) if entry.write() == data => return Ok(()),
            Ok(_) => "it would have another content".to_owned(),
            Err(why) => why,
        };
        Err(format!("its entry in the history could not be read again: {why}"))
    }

    /// Whether it changed an environment, or the association of a host with one.
    pub fn concerns(&self, env: &Env) -> bool {
        self.changes.iter().any(|change| change.env == *env)
    }
}

impl EnvChange {
    fn fields(&self) -> Object {
        let mut out = Object::new();
        out.insert("env".to_owned(), self.env.to_string().into());
        let before = self.before.as_ref().map_or(Json::Null, |before| {
            let mut fields = Object::new();
            fields.insert("version".to_owned(), i64::from(before.version).into());
            if let Some(conf) = &before.conf {
                fields.insert("conf".to_owned(), Json::Object(conf.clone()));
            }
            Json::Object(fields)
        });
        let after = self.after.as_ref().map_or(Json::Null, |conf| {
            Json::Object([("conf".to_owned(), Json::Object(conf.clone()))].into_iter().collect())
        });
        out.insert("before".to_owned(), before);
        out.insert("after".to_owned(), after);
        out
    }

    fn parse(object: &Object) -> Result<Self, String> {
        let env = object.get("env").and_then(Json::as_str).ok_or("env is missing")?;
        let env = Env::parse(env).map_err(|why| format!("env: {why}"))?;
        let side = |key: &str| object.get(key).and_then(Json::as_object);
        let conf = |side: &Object| side.get("conf").and_then(Json::as_object).cloned();
        let before = side("before").map(|side| {
            let version = side.get("version").and_then(Json::as_integer).unwrap_or_default();
            Before { version, conf: conf(side) }
        });
        Ok(Self { env, before, after: side("after").and_then(conf) })
    }
}
