//! Names the member with which a template cannot be rendered.

use std::sync::Arc;

use crate::config::{TemplateConfig, UnitPaths};
use crate::decide::Snapshot;
use crate::decide::isolate::{MemberRef, lists, without};

use super::{Library, RenderError};

impl Library {
    /// Renders like [`Library::render`]. The error names a member if the template can be rendered with the members
    /// before it, and not with it. Otherwise, members alone are not the cause. An error costs about log₂(n) more
    /// renderings for n members.
    ///
    /// # Errors
    /// Those of [`Library::render`].
    pub fn render_or_name_member(
        &self,
        template: &TemplateConfig,
        snapshot: &Snapshot,
        staged: Option<&UnitPaths>,
    ) -> Result<Vec<u8>, RenderError> {
        let mut error = match self.render(&template.src, snapshot, staged) {
            Ok(bytes) => return Ok(bytes),
            Err(error) => error,
        };
        let each = template.each.as_ref().map(|each| &each.roster);
        let members: Vec<MemberRef> = lists(snapshot, each)
            .into_iter()
            .flat_map(|((roster, key), slotted)| {
                let member_ref = move |name: &str| MemberRef {
                    roster: Arc::clone(&roster),
                    key: key.clone(),
                    member: Arc::from(name),
                };
                slotted.iter().map(move |it| member_ref(it.member.name()))
            })
            .collect();
        let render_first = |count| {
            let gone = members.iter().skip(count).collect();
            self.render(&template.src, &without(snapshot, each, &gone), staged)
        };
        if render_first(0).is_err() {
            return Err(error);
        }
        let (mut passed, mut failed) = (0, members.len());
        while failed - passed > 1 {
            let middle = passed + (failed - passed) / 2;
            match render_first(middle) {
                Ok(_) => passed = middle,
                // Another member can be the first, with another error.
                Err(earlier) => (failed, error) = (middle, earlier),
            }
        }
        error.member = members.get(passed).and_then(|it| {
            let subject = self.paths.get(&it.roster)?;
            Some(subject.members_of(it.key.as_deref().unwrap_or_default()).child(&it.member))
        });
        Err(error)
    }
}
