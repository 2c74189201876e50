//! Renders templates on other threads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::act::files::{BatchFile, RenderCopy, Rendered};
use crate::config::{TemplateConfig, UnitPaths};
use crate::decide::event::microseconds;
use crate::decide::{Event, Snapshot};
use crate::log::emit;
use crate::render::Library;

/// How long a rendering keeps its permit. A slower one continues without it, so that templates that never end do not
/// block the others.
const RENDER_TIMEOUT: Duration = Duration::from_millis(500);

/// Renders with the destinations of the template's unit. The copy for the checks is rendered when the paths of the new
/// files are known. With `name_member`, an error names the member at fault.
pub async fn render(
    library: &Arc<Library>,
    renderers: &Arc<Semaphore>,
    template: &Arc<TemplateConfig>,
    snapshot: &Arc<Snapshot>,
    name_member: bool,
    batch_file: &mut Option<BatchFile>,
) -> Result<Rendered, String> {
    let unit = library.unit(template).filter(|_| library.uses_staged(&template.src));
    let dests = unit.map(|unit| Arc::new(unit.dests.clone()));
    let copy = dests.is_some().then(|| {
        let (library, renderers) = (Arc::clone(library), Arc::clone(renderers));
        let (template, snapshot) = (Arc::clone(template), Arc::clone(snapshot));
        RenderCopy(Box::new(|paths| {
            async move { render_with(&library, &renderers, &template, snapshot, Some(paths), false, &mut None).await }
                .boxed()
        }))
    });
    let bytes = render_with(library, renderers, template, Arc::clone(snapshot), dests, name_member, batch_file).await?;
    Ok(Rendered { bytes, copy })
}

/// Renders on a thread of its own, so that a slow template does not block others.
async fn render_with(
    library: &Arc<Library>,
    renderers: &Semaphore,
    template: &Arc<TemplateConfig>,
    snapshot: Arc<Snapshot>,
    staged: Option<Arc<UnitPaths>>,
    name_member: bool,
    batch_file: &mut Option<BatchFile>,
) -> Result<Vec<u8>, String> {
    // The semaphore is never closed.
    let permit = renderers.acquire().await.ok();
    let (library, config) = (Arc::clone(library), Arc::clone(template));
    let mut rendering = tokio::task::spawn_blocking(move || {
        let started = Instant::now();
        let rendered = if name_member {
            library.render_or_name_member(&config, &snapshot, staged.as_deref())
        } else {
            library.render(&config.src, &snapshot, staged.as_deref())
        };
        let outcome = if rendered.is_ok() { "succeeded" } else { "failed" };
        let (template, dest) = (Arc::clone(&config.name), config.dest.clone());
        emit(Event::RenderFinished { template, dest, outcome, took_us: microseconds(started.elapsed()) });
        rendered.map_err(|why| why.to_string())
    });
    let rendered = if let Ok(rendered) = timeout(RENDER_TIMEOUT, &mut rendering).await {
        rendered
    } else {
        drop(permit);
        // The other files of its group do not wait for it either, unless they are a unit.
        batch_file.take_if(|batch_file| !batch_file.is_all_or_nothing());
        rendering.await
    };
    rendered.unwrap_or_else(|why| Err(format!("rendering {} failed: {why}", template.name)))
}
