//! `rosterd jones serve`: services of Jones over HTTP, for people, for scripts of Jones and for programs.
//!
//! A request goes this way:
//!
//! 1. [`guard`]: its host, and for a write where it comes from; [`access`]: who asks.
//! 2. [`call`]: the request with its path in segments, its body and its user.
//! 3. [`route`]: `/api/v1/…` is [`api`], `/service/…` and `/export` are Jones's own routes in [`classic`], the rest are
//!    [`pages`]. Each takes a session from the [`pool`], and only what the role of the user allows.
//! 4. [`data`] reads what is shown: plain data, which the API writes as JSON and [`pages`] as HTML. [`mask`] hides the
//!    values of some keys from viewers before anything else sees them.
//! 5. [`edit`] makes a proposal of what is wanted, reviews it or publishes it.
//!
//! Every error is a [`Problem`](problem::Problem). Nothing is kept between requests but sessions and passwords that were
//! right, so several of these servers can run side by side: ZooKeeper compares versions. No GET writes anything.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::task::{JoinSet, spawn_local};
use tokio::time::timeout;

use crate::config::JonesConfig;
use crate::error::{Exit, Fatal};
use crate::http_server::accept::accept;
use crate::http_server::answers::{Body, full};
use crate::http_server::connection::{Ends, Handler};

mod access;
mod answers;
mod api;
mod call;
mod classic;
pub mod data;
mod edit;
mod guard;
mod mask;
mod pages;
mod pool;
mod problem;
mod reader;
mod wants;

use access::Access;
pub use access::check as check_access;
use call::Call;
use data::Frame;
pub use pool::Pool;
use problem::Problem;
use wants::Wants;

/// The maximum number of connections. One more is closed at once.
const MAX_CONNECTIONS: usize = 64;

/// The time limit of a request, with the checks of a change.
const LIMIT: Duration = Duration::from_mins(2);

/// What every answer has. Pages use only their own files.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The server.
#[derive(Debug)]
pub struct Web {
    access: Access,
    config: JonesConfig,
    /// Configurations of agents whose templates each change must render.
    trials: Vec<PathBuf>,
    pool: Rc<Pool>,
}

impl Web {
    /// Nothing is contacted yet.
    pub fn new(config: JonesConfig, pool: Pool, trials: Vec<PathBuf>) -> Self {
        Self { access: Access::new(&config.web), config, trials, pool: Rc::new(pool) }
    }

    /// Serves until accepting a connection fails.
    pub async fn run(self, listener: &TcpListener) -> Fatal {
        let why = accept(listener, &Rc::new(Shared(Rc::new(self))), MAX_CONNECTIONS, &mut JoinSet::new()).await;
        Fatal::new(Exit::Failed, format!("cannot accept a connection: {why}"))
    }

    /// What a page shows beside its content. `service` is the one that it is about.
    fn frame(&self, call: &Call, title: &str, service: Option<&str>) -> Frame {
        let may_edit = service.is_some_and(|service| self.access.may_edit(call.user.as_deref(), service));
        Frame { title: title.to_owned(), user: call.user.clone(), may_edit }
    }
}

/// The server of all connections.
struct Shared(Rc<Web>);

impl Handler for Shared {
    const MAX_HEAD: usize = 16 * 1024;

    async fn answer(&self, request: Request<Incoming>, ends: Ends) -> Response<Body> {
        let web = Rc::clone(&self.0);
        let has_body = !request.body().is_end_stream();
        let wants = Wants::of(request.headers());
        // A client that goes away before its user is known is forgotten with its connection.
        let mut response = match admit(&web, &request, wants, ends).await {
            ControlFlow::Break(response) => response,
            ControlFlow::Continue(user) => {
                // A task of its own: a client that goes away does not stop a change half way.
                let answering = spawn_local(async move { timeout(LIMIT, answer(&web, request, user, wants)).await });
                match answering.await {
                    Ok(Ok(response)) => response,
                    Ok(Err(_)) => {
                        Problem::unreached("no answer in time; whether a change was written is not known").plain()
                    }
                    Err(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed").plain(),
                }
            }
        };
        let refuses = response.status().is_client_error() || response.status().is_server_error();
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        // The rest of the body may not have been read.
        if has_body && refuses {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Who asks, or the answer to a request that needs nobody or is refused.
async fn admit(
    web: &Web,
    request: &Request<Incoming>,
    wants: Wants,
    ends: Ends,
) -> ControlFlow<Response<Body>, Option<String>> {
    if let Err(problem) = guard::host(request, ends.local, &web.config.web.hosts) {
        return ControlFlow::Break(problem.plain());
    }
    if let Some((kind, file)) = pages::file(request.uri().path())
        && matches!(*request.method(), Method::GET | Method::HEAD)
    {
        return ControlFlow::Break(full(StatusCode::OK, kind, file));
    }
    match web.access.user(request.headers(), ends.peer).await {
        Ok(user) => ControlFlow::Continue(user),
        Err(problem) => ControlFlow::Break(answers::problem(problem, wants, request.uri().path())),
    }
}

async fn answer(web: &Rc<Web>, request: Request<Incoming>, user: Option<String>, wants: Wants) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let answered = async {
        guard::origin(&request, &web.config.web.hosts)?;
        let call = Call::read(request, user, wants).await?;
        route(web, &call).await
    };
    match answered.await {
        Ok(response) => response,
        Err(problem) => answers::problem(problem, wants, &path),
    }
}

/// Which part answers a request.
async fn route(web: &Rc<Web>, call: &Call) -> Result<Response<Body>, Problem> {
    let segments: Vec<&str> = call.path.iter().map(String::as_str).collect();
    match segments[..] {
        ["api", "v1", ref rest @ ..] => api::route(web, call, rest).await,
        ["service" | "export", ..] => classic::route(web, call, &segments).await,
        _ if !call.is_read() => Err(Problem::no_method("GET, HEAD")),
        [] => {
            let page = data::services(&mut web.reader(call).await?).await?;
            Ok(answers::page(pages::services(&web.frame(call, "Services", None), &page)))
        }
        ["check"] => {
            let page = data::all_checks(&mut web.reader(call).await?).await?;
            Ok(answers::page(pages::checks(&web.frame(call, "Check", None), &page)))
        }
        [kind @ ("history" | "review" | "frozen"), service, ref rest @ ..] => {
            let (name, mut reader) = web.reader_of(call, service).await?;
            let frame = web.frame(call, service, Some(service));
            let html = match (kind, rest) {
                ("history", []) => pages::history(&frame, &data::history(&mut reader, &name).await?),
                ("history", [revision]) => {
                    let revision = call::revision(revision)?;
                    pages::revision(&frame, &data::revision(&mut reader, &name, revision).await?)
                }
                ("review", []) => pages::review(&frame, &data::service(&mut reader, &name).await?),
                ("frozen", []) => pages::frozen(&frame, &data::service(&mut reader, &name).await?),
                _ => return Err(Problem::not_found()),
            };
            Ok(answers::page(html))
        }
        _ => Err(Problem::not_found()),
    }
}
