//! Rows to write and read: one of every field, and any at all.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use ringfence_core::agent::{AgentKind, By, MembershipMode, Role, State};
use ringfence_core::bucket::{Bucket, BucketCounts};
use ringfence_core::call::Direction;
use ringfence_core::row::{
    AgentRow, Directory, Live, Next, Pause, QueueMembership, QueueRow, RowCall, RowExternal, RowLastOffer,
    RowOffer, RowWrapUp, ServiceLevel, StatusWord, Today,
};
use ringfence_core::{AgentId, CallId, OfferId, QueueId, ReasonId, TagId, Time};

/// A moment in 2026 that is easy to tell in a file.
pub const NOW: u64 = 1_795_324_300_000;

pub fn time(ms: u64) -> Time {
    Time::from_ms(NOW + ms)
}

pub fn agent_id(id: &str) -> AgentId {
    AgentId::parse(id).unwrap()
}

pub fn queue_id(id: &str) -> QueueId {
    QueueId::parse(id).unwrap()
}

/// An agent with something in every field.
pub fn busy_agent(id: &str, seq: u64) -> AgentRow {
    AgentRow {
        agent_id: agent_id(id),
        seq,
        directory: Some(Arc::new(directory())),
        live: Some(Arc::new(live())),
        today: Some(Arc::new(today())),
    }
}

fn directory() -> Directory {
    let membership =
        QueueMembership { queue_id: queue_id("q_1"), tier: 1, position: 2, mode: MembershipMode::Dynamic };
    Directory {
        name: Some("Zoë \"Z\" Quiñones".to_owned()),
        extension: Some("1001".to_owned()),
        kind: AgentKind::Human,
        capacity: 3,
        active: true,
        queues: vec![membership],
        tags: vec![TagId::parse("german").unwrap()],
    }
}

fn live() -> Live {
    let call_id = |id| CallId::parse(id).unwrap();
    Live {
        bucket: Bucket::InCall,
        tile: Bucket::InCall.tile(),
        since: time(10),
        status: StatusWord::OnBreak,
        status_since: time(20),
        state: State::InCall,
        load: [2, 3],
        reachable: true,
        reachable_since: time(1),
        pause: Some(Pause {
            reason_id: Some(ReasonId::parse("lunch").unwrap()),
            name: Some("Lunch".to_owned()),
            since: time(20),
            until: Some(time(1_800_020)),
        }),
        next: Some(Next {
            status: StatusWord::Offline,
            reason_id: None,
            at: None,
            by: By::new(Role::Supervisor, "sup_1"),
        }),
        wrap_ups: vec![RowWrapUp { until: Some(time(30_000)), queue_id: Some(queue_id("q_1")) }],
        offers: vec![RowOffer {
            offer_id: OfferId::parse("ofr_7_1").unwrap(),
            queue_id: Some(queue_id("q_1")),
            call_id: call_id("call_2"),
            expires_at: time(15_000),
        }],
        calls: vec![RowCall {
            call_id: call_id("call_1"),
            queue_id: Some(queue_id("q_1")),
            direction: Direction::Inbound,
            peer: Some("+441632960123".to_owned()),
            since: time(40),
        }],
        external: vec![RowExternal {
            call_id: call_id("0e9dfbb4@call"),
            direction: Direction::Outbound,
            peer: Some("trunk@carrier.test".to_owned()),
            since: time(50),
        }],
        last_offer: Some(RowLastOffer {
            at: time(5),
            queue_id: Some(queue_id("q_1")),
            outcome: "accepted".to_owned(),
        }),
        missed_in_row: 1,
        changed_by: By::new(Role::Agent, "1001"),
    }
}

fn today() -> Today {
    Today {
        day: "2026-11-22".to_owned(),
        offered: 5,
        accepted: 3,
        missed: 1,
        rejected: 1,
        talk_ms: 600_000,
        wrap_up_ms: 90_000,
        pause_ms: 1_000,
        ready_ms: 2_000,
        idle_ms: 3_000,
        ringing_ms: 4_000,
        external_ms: 5_000,
        unreachable_ms: 6_000,
        logged_in_ms: 711_000,
    }
}

/// An agent with nothing in any field that can be empty.
pub fn idle_agent(id: &str, seq: u64) -> AgentRow {
    let empty = Live {
        bucket: Bucket::Idle,
        tile: Bucket::Idle.tile(),
        status: StatusWord::Available,
        state: State::Waiting,
        load: [0, 1],
        pause: None,
        next: None,
        wrap_ups: Vec::new(),
        offers: Vec::new(),
        calls: Vec::new(),
        external: Vec::new(),
        last_offer: None,
        missed_in_row: 0,
        changed_by: By::SYSTEM,
        ..live()
    };
    let directory = Directory {
        name: None,
        extension: None,
        kind: AgentKind::Ai,
        queues: Vec::new(),
        tags: Vec::new(),
        ..directory()
    };
    AgentRow {
        agent_id: agent_id(id),
        seq,
        directory: Some(Arc::new(directory)),
        live: Some(Arc::new(empty)),
        today: None,
    }
}

pub fn queue_row(id: &str, seq: u64) -> QueueRow {
    let service_level = ServiceLevel { met: 8, total: 10 };
    QueueRow {
        queue_id: queue_id(id),
        seq,
        waiting: 2,
        oldest_since: Some(time(60)),
        ready: 4,
        service_level,
    }
}

pub fn counts() -> BucketCounts {
    BucketCounts { in_call: 1, idle: 1, ..BucketCounts::default() }
}

/// Any id: digits, letters of several bytes, and what views have to escape.
pub fn any_id() -> impl Strategy<Value = String> {
    "[a-z0-9;:%\"\\\\_@äß]{1,20}"
}

pub fn any_agent() -> impl Strategy<Value = AgentRow> {
    let fragments =
        (any::<[bool; 3]>(), option::of(any_text()), vec(any_peer(), 0..3), vec(any_peer(), 0..3));
    (any_id(), any::<u64>(), fragments).prop_map(|(id, seq, (shown, name, calls, external))| {
        let whole = busy_agent(&id, seq);
        let directory = Directory { name, ..directory() };
        let mut live = live();
        let one_call = live.calls.remove(0);
        live.calls = calls.into_iter().map(|peer| RowCall { peer, ..one_call.clone() }).collect();
        let one_external = live.external.remove(0);
        live.external =
            external.into_iter().map(|peer| RowExternal { peer, ..one_external.clone() }).collect();
        let [has_directory, has_live, has_today] = shown;
        AgentRow {
            directory: has_directory.then(|| Arc::new(directory)),
            live: has_live.then(|| Arc::new(live)),
            today: whole.today.filter(|_| has_today),
            ..whole
        }
    })
}

pub fn any_queue() -> impl Strategy<Value = QueueRow> {
    (any_id(), any::<u64>(), any::<u32>(), option::of(any::<u64>())).prop_map(|(id, seq, waiting, oldest)| {
        QueueRow { waiting, oldest_since: oldest.map(Time::from_ms), ..queue_row(&id, seq) }
    })
}

pub fn any_counts() -> impl Strategy<Value = BucketCounts> {
    (0..9_u32, 0..9_u32, 0..9_u32).prop_map(|(ready, idle, in_call)| BucketCounts {
        ready,
        idle,
        in_call,
        ..BucketCounts::default()
    })
}

/// Any text, control characters and all.
pub fn any_text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().collect())
}

fn any_peer() -> impl Strategy<Value = Option<String>> {
    prop_oneof![Just(None), "[+]?[0-9]{0,14}(@[a-z.]{1,9})?".prop_map(Some), any_text().prop_map(Some)]
}
