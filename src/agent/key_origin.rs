//! Who wrote what a `[[key]]` of Jones holds, for `explain`.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::decide::report::Report;
use crate::jones::path::Service;
use crate::jones::store::origin::Origin;
use crate::jones::store::with_store;
use crate::model::node_path::Subject;
use crate::watch::StateAccess;

/// How long an answer waits for it.
const LIMIT: Duration = Duration::from_secs(2);

/// Reads who wrote what a key holds, in a session of its own. `None`, if the key is not one of Jones or is not current. The
/// result is `None`, too, if nothing is known in time.
pub fn origin(config: &Config, report: &Report, name: &str) -> Option<impl Future<Output = Option<Origin>> + use<>> {
    let key = report.keys.get(name).filter(|key| key.freshness.is_live())?;
    let Subject::Mapped { service, .. } = &key.config.subject else { return None };
    let service = Service::parse(service.name()).ok()?;
    let read = service.destination(key.mapping.as_ref()?.path.as_str()).ok()?;
    let registry = config.registries.iter().find(|registry| registry.name == key.config.registry)?;
    let state = StateAccess::ReadOnly(config.agent.state_dir.clone());
    let reading =
        with_store(Arc::clone(registry), state, LIMIT, async move |store| store.origin(&service, &read).await);
    Some(async move { reading.await.ok().flatten() })
}
