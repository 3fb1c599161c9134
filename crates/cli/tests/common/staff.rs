//! Agents whose phone needs no registration: a telephone number that rings is a contact for good.

use ringfence_client::{AgentEventBody, Api, QueueChoiceBody, Written};
use serde_json::json;

use super::id;

/// A queue in which nothing but calls keeps an agent from the next call.
pub async fn open_queue(api: &Api, queue: &str) {
    let settings = json!({
        "wrap_up_sec": 0, "max_no_answer": 0, "reject_cooldown_sec": 0, "busy_cooldown_sec": 0, "failed_cooldown_sec": 0,
    });
    api.put_queue(&id(queue), &settings).await.expect("a queue");
}

/// An agent with a phone, offline. `number` tells the telephone numbers apart.
pub async fn hire(api: &Api, agent: &str, number: u32) {
    let fields = json!({
        "name": format!("Agent {agent}"),
        "addresses": [{"type": "tel", "target": format!("+1555{number:07}"), "ring": true}],
    });
    api.put_agent(&id(agent), &fields).await.expect("an agent");
}

pub async fn available(api: &Api, agent: &str, queue: &str) -> Written {
    let queues = Some(vec![QueueChoiceBody { queue_id: id(queue), tier: 1 }]);
    let event = AgentEventBody { queues, ..AgentEventBody::plain("available") };
    api.event(&id(agent), &event).await.expect("an agent becomes available")
}
