//! The warden: parent of all account actors, which hears when one of them fails.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

use crate::shared::Shared;

pub(crate) struct Warden(pub Arc<Shared>);

/// The warden is told nothing but what supervision tells it.
pub(crate) enum Never {}

impl Actor for Warden {
    type Msg = Never;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Never>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Never>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(actor, error) => {
                crate::load::failed(&self.0, actor.get_id(), &error.to_string());
            }
            SupervisionEvent::ActorTerminated(actor, _, reason) => {
                crate::load::failed(&self.0, actor.get_id(), reason.as_deref().unwrap_or("terminated"));
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}
