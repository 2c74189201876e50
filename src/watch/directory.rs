//! tmp
use std::path::PathBuf;
use std::sync::Arc;
/// tmp
pub struct Directory;
impl Directory {
    /// tmp
    pub fn new(_n: Arc<str>, _p: PathBuf) -> Self {
        Self
    }
}
impl super::Registry for Directory {
    fn follow(
        self: Arc<Self>,
        _s: tokio::sync::watch::Receiver<std::collections::BTreeSet<crate::node::Subject>>,
        _o: tokio::sync::mpsc::Sender<crate::sighting::Sighting>,
        _t: tokio_util::sync::CancellationToken,
    ) -> super::Boxed<'static, ()> {
        Box::pin(async {})
    }
    fn look(
        &self,
        _p: crate::node::NodePath,
        _r: bool,
    ) -> super::Boxed<'_, Result<Option<super::Node>, crate::error::Setback>> {
        Box::pin(async { Ok(None) })
    }
}
