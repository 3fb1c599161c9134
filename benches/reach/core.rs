//! The decisions alone, without actor, mailbox or runtime: what is left when everything around them is free.

use std::time::Instant;

use ringfence::core::agent::{Address, AddressKind, AgentEntry, By};
use ringfence::core::input::{AgentEvent, Ask, EventInput, QueueChoice, Verb, When};
use ringfence::core::queue::QueueSettings;
use ringfence::core::{Account, Input, Reply, Time};

use crate::Failure;

const CYCLES: usize = 200_000;
const AGENTS: usize = 200;

/// Microseconds per reserve + answer + end.
pub fn cycles() -> Result<f64, Failure> {
    let mut account = Account::new("bench".parse()?, 1).without_pages();
    let settings = QueueSettings { wrap_up_sec: Some(0), ..QueueSettings::default() };
    let mut now = Time::from_ms(1);
    let queue: ringfence::QueueId = "q".parse()?;
    account.step(Input::PutQueue { queue: queue.clone(), settings: Box::new(settings) }, &By::SYSTEM, now);
    for n in 0..AGENTS {
        let agent: ringfence::AgentId = format!("agent-{n}").parse()?;
        let address = Address { kind: AddressKind::Tel, target: format!("+1{n:010}"), ring: true };
        let entry = Box::new(AgentEntry { addresses: vec![address], ..AgentEntry::default() });
        account.step(Input::PutAgent { agent: agent.clone(), entry }, &By::SYSTEM, now);
        let queues = Some(vec![QueueChoice { queue: queue.clone(), tier: None, position: None }]);
        let event = EventInput {
            agent,
            event: AgentEvent::Available,
            queues,
            create: false,
            expected_seq: None,
            when: When::Now,
        };
        account.step(Input::Event(event), &By::SYSTEM, now);
    }
    let calls: Result<Vec<ringfence::CallId>, _> = (0..CYCLES).map(|n| format!("c{n}").parse()).collect();
    let start = Instant::now();
    for (n, call) in calls?.into_iter().enumerate() {
        now = now.plus_ms(u64::from(n % 300 == 0));
        let ask = Ask { call: call.clone(), offer: None, lease_ms: None, router: None };
        let input =
            Input::ReserveQueue { queue: queue.clone(), ask, exclude: Vec::new(), prefer: Vec::new() };
        let Ok(Reply::Granted { grant, .. }) = account.step(input, &By::ROUTER, now).reply else {
            return Err("a reserve was refused".into());
        };
        let (offer, fence) = (grant.offer.offer_id.clone(), grant.offer.fence);
        account.step(Input::Offer { offer, fence, verb: Verb::Answer { leg: None } }, &By::ROUTER, now);
        account.step(Input::EndCall { call, agent: None, fence: None }, &By::ROUTER, now);
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / CYCLES as f64)
}
