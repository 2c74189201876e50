//! Jones's own routes, with the fields of Jones.
//!
//! | route | method | answer |
//! |---|---|---|
//! | `/service/S/[ENV/]` | GET | `env`, `version`, `children`, `config`, `view`, `service`, `associations` |
//! | | POST | creates it, with `{}`: 201, `service` |
//! | | PUT `data`, `version` | sets it: the name of the environment |
//! | | DELETE | deletes it, or the service: the name of the environment |
//! | `/service/S/association/H` | GET | what the host reads |
//! | | PUT `env` | associates it: 201, the name of the service |
//! | | DELETE | removes its association: the name of the service |
//! | `/export` | GET | all nodes of the services as indented text |
//!
//! A body is a form, as scripts of Jones send it, or JSON with the same fields. A client that does not ask for JSON gets
//! a page.

use std::fmt::Write as _;
use std::rc::Rc;

use hyper::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::error::{Cause, Exit, Fatal};
use crate::http_server::answers::{Body, text};
use crate::jones::json::Json;
use crate::jones::path::{Env, Service};
use crate::jones::tree::{Node, Tree};

use super::answers::{json, page};
use super::call::{self, Call};
use super::data;
use super::edit::{Edit, entry};
use super::problem::Problem;
use super::wants::Wants;
use super::{Web, api, pages};

/// What Jones answers for an environment.
#[derive(Serialize)]
struct Shown {
    env: String,
    version: i32,
    children: Vec<Child>,
    config: Json,
    view: Json,
    service: String,
    /// The hosts that read it; `None` for the root environment, as in Jones.
    associations: Option<Vec<String>>,
}

/// An environment of the service. `/` is the root one.
#[derive(Serialize)]
struct Child {
    env: String,
    is_leaf: bool,
}

#[derive(Serialize)]
struct Created<'a> {
    service: &'a str,
}

/// The fields of a write.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields {
    data: Option<Box<serde_json::value::RawValue>>,
    version: Option<i32>,
    env: Option<String>,
}

/// The answer to a request.
pub async fn route(web: &Rc<Web>, call: &Call, path: &[&str]) -> Result<Response<Body>, Problem> {
    match path {
        ["export"] if call.is_read() => export(web, call).await,
        ["service", service, "association", host] => association(web, call, service, host).await,
        ["service", service, env @ ..] => {
            let env = call::env(&env.join("/"))?;
            if call.is_read() { show(web, call, service, &env).await } else { write(web, call, service, &env).await }
        }
        _ => Err(Problem::not_found()),
    }
}

async fn show(web: &Rc<Web>, call: &Call, service: &str, env: &Env) -> Result<Response<Body>, Problem> {
    let (service, mut reader) = web.reader_of(call, service).await?;
    if call.wants != Wants::Json {
        let tree = data::service(&mut reader, &service).await?;
        let shown = data::env(&mut reader, &service, env).await?;
        let title = crate::jones::words::name(&service, env);
        return Ok(page(pages::env(&web.frame(call, &title, Some(service.as_str())), &tree, &shown)));
    }
    Ok(json(StatusCode::OK, &shown(&reader.tree(&service).await?, env)?))
}

fn shown(tree: &Tree, env: &Env) -> Result<Shown, Problem> {
    let page = data::env_page(tree, env)?;
    let broken = |what: &str| Problem::invalid(format!("the {what} of {} is not an object", page.service));
    let child = |env: &Env| Child {
        env: if env.is_root() { "/".to_owned() } else { env.to_string() },
        is_leaf: tree.children(env).next().is_none(),
    };
    Ok(Shown {
        children: tree.envs.keys().map(child).collect(),
        config: page.conf.clone().ok_or_else(|| broken("configuration"))?,
        view: page.view.clone().ok_or_else(|| broken("view"))?,
        associations: (!env.is_root()).then_some(page.hosts),
        env: page.env,
        version: page.version,
        service: page.service,
    })
}

async fn write(web: &Rc<Web>, call: &Call, service: &str, env: &Env) -> Result<Response<Body>, Problem> {
    let (service, mut reader) = web.writer_of(call, service).await?;
    let user = call.user.as_deref();
    match call.method {
        Method::POST if env.is_root() => _ = api::create(web, &mut reader, &service, call, "").await?,
        Method::DELETE if env.is_root() => {
            let tree = reader.store().tree(&service).await?;
            reader.store().delete_service(&tree, entry("delete", user, "")).await?;
        }
        _ => {
            let edit = edit(call, env)?;
            web.publish(&mut reader, &service, &edit, entry("", user, ""), |_| true).await?;
        }
    }
    Ok(if call.method == Method::POST {
        json(StatusCode::CREATED, &Created { service: service.as_str() })
    } else {
        text(StatusCode::OK, env.to_string())
    })
}

/// What a write of an environment wants. Jones takes -1 for any version.
fn edit(call: &Call, env: &Env) -> Result<Edit, Problem> {
    let env = env.to_string();
    match call.method {
        Method::POST => Ok(Edit::Create { env, text: None }),
        Method::DELETE => Ok(Edit::Delete { env, base_version: None }),
        _ => {
            let is_json = call.is_json();
            let (text, version) = if is_json {
                let fields: Fields = call.json()?;
                let data = fields.data.ok_or_else(|| Problem::invalid("the field data is missing"))?;
                let version = fields.version.ok_or_else(|| Problem::invalid("the field version is missing"))?;
                (data.get().to_owned(), version)
            } else {
                let version = call.field("version")?;
                let wrong = |_| Problem::invalid(format!("the version {version:?} is not a number"));
                (call.field("data")?, version.trim().parse::<i32>().map_err(wrong)?)
            };
            Ok(Edit::Set { env, text, base_version: (version != -1).then_some(version) })
        }
    }
}

async fn association(web: &Rc<Web>, call: &Call, service: &str, host: &str) -> Result<Response<Body>, Problem> {
    let host = call::host(host)?;
    if call.is_read() {
        let (service, mut reader) = web.reader_of(call, service).await?;
        let shown = data::host(&mut reader, &service, &host).await?;
        if call.wants != Wants::Json {
            let frame = web.frame(call, &host, Some(service.as_str()));
            return Ok(page(pages::host(&frame, &shown)));
        }
        let missing = || Fatal::new(Exit::Failed, shown.error.clone().unwrap_or_default()).of(Cause::Missing);
        return Ok(json(StatusCode::OK, &shown.config.as_ref().ok_or_else(missing)?));
    }
    let (service, mut reader) = web.writer_of(call, service).await?;
    let (edit, status) = match call.method {
        Method::PUT => {
            let env = if call.is_json() { call.json::<Fields>()?.env } else { Some(call.field("env")?) };
            let env = env.ok_or_else(|| Problem::invalid("the field env is missing"))?;
            (Edit::Associate { hosts: vec![host], env }, StatusCode::CREATED)
        }
        Method::DELETE => (Edit::Dissociate { hosts: vec![host] }, StatusCode::OK),
        _ => return Err(Problem::no_method("GET, HEAD, PUT, DELETE")),
    };
    web.publish(&mut reader, &service, &edit, entry("", call.user.as_deref(), ""), |_| true).await?;
    Ok(text(status, service.to_string()))
}

/// The services that the user may read, as Jones exports them: each node, and below it its data.
async fn export(web: &Rc<Web>, call: &Call) -> Result<Response<Body>, Problem> {
    let mut reader = web.reader(call).await?;
    let mut out = String::from("/\n/services\n");
    for (service, tree) in reader.services().await? {
        match tree {
            Ok(_) => export_service(&mut out, &reader.tree(&service).await?),
            Err(why) => _ = writeln!(out, "  {}\n    ({why})", service.path()),
        }
    }
    Ok(text(StatusCode::OK, out))
}

fn export_service(out: &mut String, tree: &Tree) {
    let service: &Service = &tree.service;
    let mut nodes = std::collections::BTreeMap::new();
    for (env, of) in &tree.envs {
        nodes.insert(service.conf(env), Some(&of.conf));
        nodes.extend(of.view.as_ref().map(|view| (service.view(env), Some(view))));
    }
    let below = tree.frozen.iter().filter(|(path, _)| service.path().segments_below(path.as_str()).is_some());
    nodes.extend(below.map(|(path, node)| (path.clone(), Some(node))));
    nodes.insert(service.path(), None);
    let mut line = |path: &str, data: &[u8]| {
        let indent = "  ".repeat(path.matches('/').count().saturating_sub(1));
        let _ = writeln!(out, "{indent}{path}");
        for line in String::from_utf8_lossy(data).lines() {
            let _ = writeln!(out, "{indent}  {line}");
        }
    };
    for (path, node) in nodes {
        line(path.as_str(), node.map_or(&[], |node: &Node| &node.data));
    }
    let maps = tree.nodemaps.as_ref().ok().filter(|node| node.stat.is_some()).map(|node| &node.maps);
    if let Some(maps) = maps {
        let data = maps.write(crate::jones::nodemaps::Encoding::Json).unwrap_or_default();
        line(service.nodemaps().as_str(), &data);
    }
}
