//! What is done about files that something else has changed: the part of mode `daemon`'s plan that comes before all that
//! waits. Pure.

use super::change::Change;
use super::plan::{Scene, Waits};
use super::step::DaemonStep;
use crate::agent::plan::Plan;
use crate::agent::step::OnFailure;

impl Plan {
    /// Files that said what they should, and that something else has changed, come first, whatever dockerd does and
    /// whatever waits for a window: with what they say now the next start could be the last one, or open a port. What a
    /// restart is needed for is seen in the next pass.
    pub(super) fn mend(&mut self, scene: Scene<'_>, changes: Vec<Change>) {
        let Scene {
            sight, desired, now, ..
        } = scene;
        let unmended = match sight.memory.contested_until(now) {
            Some(until) => Some(Waits::Contested(until)),
            None => sight
                .refused_until(scene.observed, desired, now)
                .map(Waits::Failed),
        };
        if let Some(waits) = unmended.filter(|_| !desired.now) {
            if let Some(change) = sight.open_door() {
                self.and_start(scene, DaemonStep::Change(change));
            }
            self.waits = Some(waits);
            return;
        }
        let version = scene.observed.version().filter(|_| sight.runs());
        if let Some(version) = version.filter(|version| sight.validated != Some(*version)) {
            self.daemon(DaemonStep::Validate { version }, OnFailure::Stop);
        }
        self.and_start(scene, DaemonStep::Mend(changes));
    }

    /// A dockerd that did not start because of these files is started with them mended.
    fn and_start(&mut self, scene: Scene<'_>, step: DaemonStep) {
        let why = scene.sight.brought_down();
        let broken = why.is_some();
        if let Some(why) = why {
            self.daemon(DaemonStep::NoteBroken { why }, OnFailure::Stop);
        }
        self.daemon(step, OnFailure::Stop);
        if broken {
            self.daemon(DaemonStep::Start, OnFailure::Stop);
        }
    }
}
