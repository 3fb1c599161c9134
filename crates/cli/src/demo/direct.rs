//! A caller who dials an agent's own number: that agent, or nobody.

use std::sync::Arc;

use ringfence_client::Reserve;
use ringfence_core::{AgentId, OfferId, RouterId};

use crate::demo::call::{self, After};
use crate::demo::callers::Caller;
use crate::demo::floor::Floor;
use crate::demo::tally::Count;

pub async fn call(floor: Arc<Floor>, agent: AgentId, caller: Caller) {
    let ask = Reserve {
        offer_id: OfferId::parse(&format!("{}-d", caller.call_id)).ok(),
        router_id: RouterId::parse("demo").ok(),
        ..Reserve::new(caller.call_id.clone())
    };
    match floor.api.reserve_agent(&agent, &ask).await {
        Ok(offer) => match call::run(&floor, caller, offer).await {
            After::Over => {}
            After::Back(_) => floor.tally.count(Count::GaveUp),
        },
        Err(error) => {
            // To the mailbox.
            floor.tally.count(Count::DirectRefused);
            floor.refused("a direct reserve", &error);
        }
    }
}
