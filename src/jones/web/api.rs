//! `/api/v1`: JSON, with entity tags. A write needs `If-Match`, and every error is a problem (RFC 9457).
//!
//! Three kinds of tags: the version of the own configuration of an environment, one for the association of a host, and one
//! for a service as a whole. Each is in the answer to a `GET` of the same path, and in the field `version` or `etag`.

use std::rc::Rc;

use hyper::{Method, Response, StatusCode};
use serde::Deserialize;

use crate::http_server::answers::Body;
use crate::jones::json::Object;
use crate::jones::path::{Env, Service};
use crate::jones::tree::Tree;
use crate::jones::trial;

use super::Web;
use super::answers::{json, tagged};
use super::call::{self, Call};
use super::data::{self, etag, host_etag};
use super::edit::{Edit, entry};
use super::problem::Problem;
use super::reader::Reader;

#[cfg(test)]
mod tests;

/// The fields of the bodies of writes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    service: Option<String>,
    env: Option<String>,
    text: Option<String>,
    comment: String,
    revision: Option<u64>,
    hosts: Option<Vec<String>>,
    percent: Option<u8>,
    id: Option<String>,
    /// The tag of the service in the review that the user has seen.
    reviewed: Option<String>,
}

/// What a write answers.
#[derive(Debug, serde::Serialize)]
struct Written {
    /// The revision; `None` if there was nothing to change.
    revision: Option<u64>,
}

/// The answer to a request below `/api/v1`.
pub async fn route(web: &Rc<Web>, call: &Call, path: &[&str]) -> Result<Response<Body>, Problem> {
    let (service, rest) = match path {
        ["services"] => return services(web, call).await,
        ["services", service, rest @ ..] => (*service, rest),
        _ => return Err(Problem::not_found()),
    };
    if call.is_read() {
        let (service, mut reader) = web.reader_of(call, service).await?;
        return read(&mut reader, &service, rest).await;
    }
    let (service, mut reader) = web.writer_of(call, service).await?;
    if (&call.method, rest) == (&Method::POST, &["review"]) {
        return Ok(json(StatusCode::OK, &web.review(&mut reader, &service, &review_edit(call)?).await?));
    }
    if (&call.method, rest) == (&Method::DELETE, &[]) {
        let tree = reader.store().tree(&service).await?;
        let tag = tag(call)?;
        if tag != "*" && tag != etag(&tree) {
            let detail = format!("{service} was changed by somebody else meanwhile; nothing was written");
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        let entry = entry("delete", call.user.as_deref(), comment(call));
        let revision = Some(reader.store().delete_service(&tree, entry).await?);
        return Ok(json(StatusCode::OK, &Written { revision }));
    }
    let (edit, fields) = write_edit(call, rest)?;
    let is_new = matches!(edit, Edit::Create { .. } | Edit::Canary { .. } | Edit::Pin { .. } | Edit::Rollback { .. });
    let user = call.user.as_deref();
    let entry = entry("", user, if fields.comment.is_empty() { comment(call) } else { &fields.comment });
    let seen = seen(call, &edit, fields.reviewed)?;
    let revision = web.publish(&mut reader, &service, &edit, entry, seen).await?;
    Ok(json(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &Written { revision }))
}

async fn services(web: &Rc<Web>, call: &Call) -> Result<Response<Body>, Problem> {
    match call.method {
        Method::GET | Method::HEAD => Ok(json(StatusCode::OK, &data::services(&mut web.reader(call).await?).await?)),
        Method::POST => {
            let fields: Fields = call.json()?;
            let name = required(fields.service, "service")?;
            let (service, mut reader) = web.writer_of(call, &name).await?;
            let revision = create(web, &mut reader, &service, call, &fields.comment).await?;
            Ok(json(StatusCode::CREATED, &Written { revision: Some(revision) }))
        }
        _ => Err(Problem::no_method("GET, HEAD, POST")),
    }
}

/// Creates a service.
///
/// # Errors
/// It exists already, its check refuses an empty view, or it cannot be created.
pub async fn create(
    web: &Web,
    reader: &mut Reader<'_>,
    service: &Service,
    call: &Call,
    comment: &str,
) -> Result<u64, Problem> {
    if !reader.store().any_tree(service).await?.envs.is_empty() {
        return Err(Problem::new(StatusCode::CONFLICT, format!("the service {service} exists already")));
    }
    if let Some(check) = web.config.checks.get(service.as_str()) {
        trial::check_views(check, service, &[(Env::ROOT, Object::new())]).await?;
        reader.store().restart_limit();
    }
    Ok(reader.store().init(service, None, entry("init", call.user.as_deref(), comment)).await?)
}

async fn read(reader: &mut Reader<'_>, service: &Service, path: &[&str]) -> Result<Response<Body>, Problem> {
    Ok(match path {
        [] => {
            let page = data::service(reader, service).await?;
            tagged(&page.etag, &page)
        }
        ["envs", env @ ..] => {
            let page = data::env(reader, service, &call::env(&env.join("/"))?).await?;
            tagged(&page.version.to_string(), &page)
        }
        ["hosts", host] => {
            let page = data::host(reader, service, &call::host(host)?).await?;
            tagged(&page.etag, &page)
        }
        ["history"] => json(StatusCode::OK, &data::history(reader, service).await?),
        ["history", revision] => {
            json(StatusCode::OK, &data::revision(reader, service, call::revision(revision)?).await?)
        }
        ["check"] => json(StatusCode::OK, &data::check(reader, service).await?),
        _ => return Err(Problem::not_found()),
    })
}

/// What a write wants, from its path and its body.
fn write_edit(call: &Call, path: &[&str]) -> Result<(Edit, Fields), Problem> {
    let mut fields: Fields = call.json()?;
    let edit = match (&call.method, path) {
        (&Method::PUT, ["envs", env @ ..]) => {
            Edit::Set { env: env.join("/"), text: required(fields.text.take(), "text")?, base_version: version(call)? }
        }
        (&Method::POST, ["envs"]) => {
            Edit::Create { env: required(fields.env.take(), "env")?, text: fields.text.take() }
        }
        (&Method::DELETE, ["envs", env @ ..]) => Edit::Delete { env: env.join("/"), base_version: version(call)? },
        (&Method::PUT, ["hosts", host]) => {
            Edit::Associate { hosts: vec![(*host).to_owned()], env: required(fields.env.take(), "env")? }
        }
        (&Method::DELETE, ["hosts", host]) => Edit::Dissociate { hosts: vec![(*host).to_owned()] },
        (&Method::POST, ["rollback"]) => {
            Edit::Rollback { revision: required(fields.revision, "revision")?, env: fields.env.take() }
        }
        (&Method::POST, ["pins"]) => Edit::Pin {
            hosts: required(fields.hosts.take(), "hosts")?,
            revision: required(fields.revision, "revision")?,
        },
        (&Method::DELETE, ["pins"]) => Edit::Unpin { hosts: required(fields.hosts.take(), "hosts")? },
        (&Method::POST, ["canaries"]) => Edit::Canary {
            id: fields.id.take(),
            env: fields.env.take().unwrap_or_default(),
            text: required(fields.text.take(), "text")?,
            hosts: fields.hosts.take(),
            percent: fields.percent,
        },
        (&Method::POST, ["canaries", id, "promote"]) => Edit::Promote { id: (*id).to_owned() },
        (&Method::POST, ["canaries", id, "abort"]) => Edit::Abort { id: (*id).to_owned() },
        (_, ["envs" | "hosts" | "rollback" | "pins" | "canaries" | "review" | "history" | "check", ..] | []) => {
            return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method"));
        }
        _ => return Err(Problem::not_found()),
    };
    Ok((edit, fields))
}

/// What a review is to show: the body of the write, with `op`, which is `set` if it is missing.
fn review_edit(call: &Call) -> Result<Edit, Problem> {
    let mut body: serde_json::Map<String, serde_json::Value> = call.json()?;
    body.entry("op").or_insert("set".into());
    serde_json::from_value(body.into()).map_err(|why| Problem::invalid(format!("the body of the request: {why}")))
}

fn required<T>(field: Option<T>, name: &str) -> Result<T, Problem> {
    field.ok_or_else(|| Problem::invalid(format!("the field {name} is missing")))
}

fn comment(call: &Call) -> &str {
    call.query.get("comment").map_or("", String::as_str)
}

/// What `If-Match` has.
fn tag(call: &Call) -> Result<&str, Problem> {
    let why = "a write needs If-Match with the tag of what it changes, so that it does not replace what somebody else has \
               written meanwhile; * for any";
    call.if_match().ok_or_else(|| Problem::new(StatusCode::PRECONDITION_REQUIRED, why))
}

/// The version that may be replaced; `None` for any.
fn version(call: &Call) -> Result<Option<i32>, Problem> {
    let tag = tag(call)?;
    if tag == "*" {
        return Ok(None);
    }
    tag.parse().map(Some).map_err(|_| Problem::invalid("If-Match is not the version of a configuration"))
}

/// Whether what a write changes is as its user has seen it, and the whole service as it was `reviewed`. The version of a
/// `conf` is part of the edit.
fn seen(call: &Call, edit: &Edit, reviewed: Option<String>) -> Result<impl Fn(&Tree) -> bool, Problem> {
    let host = match edit {
        Edit::Set { .. } | Edit::Delete { .. } | Edit::Create { .. } => None,
        Edit::Associate { hosts, .. } | Edit::Dissociate { hosts } => {
            Some((tag(call)?.to_owned(), hosts.first().cloned()))
        }
        _ => Some((tag(call)?.to_owned(), None)),
    };
    let is_tagged = move |tree: &Tree| match &host {
        None => true,
        Some((tag, _)) if tag == "*" => true,
        Some((tag, Some(host))) => {
            let path = tree.hosts().find(|(name, _)| name == host).map(|(_, path)| path);
            *tag == host_etag(path)
        }
        Some((tag, None)) => *tag == etag(tree),
    };
    Ok(move |tree: &Tree| is_tagged(tree) && reviewed.as_ref().is_none_or(|tag| *tag == etag(tree)))
}
