//! A session for one request, with what its user may read.

use std::collections::BTreeMap;
use std::rc::Rc;

use hyper::StatusCode;

use crate::error::Fatal;
use crate::jones::path::Service;
use crate::jones::store::Store;
use crate::jones::store::history::Recorded;
use crate::jones::tree::Tree;

use super::Web;
use super::call::{self, Call};
use super::mask::Mask;
use super::pool::Session;
use super::problem::Problem;

/// A session for one request.
#[derive(Debug)]
pub struct Reader<'a> {
    web: &'a Web,
    user: Option<&'a str>,
    session: Session,
}

impl Web {
    /// A session for a request.
    ///
    /// # Errors
    /// All are in use.
    pub async fn reader<'a>(self: &'a Rc<Self>, call: &'a Call) -> Result<Reader<'a>, Problem> {
        Ok(Reader { web: self, user: call.user.as_deref(), session: self.pool.take().await? })
    }

    /// The same for a service that the user may read.
    ///
    /// # Errors
    /// They may not, or it is not a name.
    pub async fn reader_of<'a>(
        self: &'a Rc<Self>,
        call: &'a Call,
        name: &str,
    ) -> Result<(Service, Reader<'a>), Problem> {
        let service = call::service(name)?;
        if !self.access.may_view(call.user.as_deref(), name) {
            return Err(denied(call, "read", &service));
        }
        Ok((service, self.reader(call).await?))
    }

    /// The same for a service that the user may change.
    ///
    /// # Errors
    /// They may not, or it is not a name.
    pub async fn writer_of<'a>(
        self: &'a Rc<Self>,
        call: &'a Call,
        name: &str,
    ) -> Result<(Service, Reader<'a>), Problem> {
        let service = call::service(name)?;
        if !self.config.web.write {
            let why = "this server only reads: start it with --write, or set write = true in [jones]";
            return Err(Problem::new(StatusCode::FORBIDDEN, why));
        }
        if !self.access.may_edit(call.user.as_deref(), name) {
            return Err(denied(call, "change", &service));
        }
        Ok((service, self.reader(call).await?))
    }
}

fn denied(call: &Call, what: &str, service: &Service) -> Problem {
    let user = call.user.as_deref().unwrap_or("who is not asked for a name");
    Problem::new(StatusCode::FORBIDDEN, format!("the user {user} may not {what} {service}"))
}

impl Reader<'_> {
    /// The services, without masks and roles.
    pub fn store(&mut self) -> &mut Store {
        &mut self.session
    }

    /// What is hidden of a service.
    fn mask(&self, service: &Service) -> Option<Mask<'_>> {
        let is_shown = self.web.config.web.mask.is_empty() || self.web.access.may_edit(self.user, service.as_str());
        (!is_shown).then_some(Mask(&self.web.config.web.mask))
    }

    /// A service.
    ///
    /// # Errors
    /// It does not exist, a node of it cannot be read, or the ensemble is not reached.
    pub async fn tree(&mut self, service: &Service) -> Result<Tree, Fatal> {
        let mut tree = self.session.tree(service).await?;
        if let Some(mask) = self.mask(service) {
            mask.tree(&mut tree);
        }
        Ok(tree)
    }

    /// The services that the user may read, without masks. One whose nodes this server may not read is an error.
    ///
    /// # Errors
    /// They cannot be listed, or the ensemble is not reached.
    pub async fn services(&mut self) -> Result<Vec<(Service, Result<Tree, Fatal>)>, Fatal> {
        let mut services = self.session.jones_services().await?;
        services.retain(|(service, _)| self.web.access.may_view(self.user, service.as_str()));
        Ok(services)
    }

    /// The history of a service.
    ///
    /// # Errors
    /// It cannot be read, or the ensemble is not reached.
    pub async fn history(&mut self, service: &Service) -> Result<BTreeMap<u64, Recorded>, Fatal> {
        let mut history = self.session.history(service).await?;
        if let Some(mask) = self.mask(service) {
            for recorded in history.values_mut() {
                mask.recorded(recorded);
            }
        }
        Ok(history)
    }
}
