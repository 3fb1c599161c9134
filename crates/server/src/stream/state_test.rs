#![cfg(test)]
//! A view and its deltas are the server's state, however slowly and with however many breaks they are read.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use ringfence::core::agent::By;
use ringfence::core::input::{AgentEvent, EventInput, QueueChoice, When};
use ringfence::core::queue::QueueSettings;
use ringfence::core::row::View;
use ringfence::{Account, AccountId, AgentId, Cursor, Engine, Options, QueueId, Roster};
use ringfence_wire::{Profile, RateClass, ViewSpec};
use serde_json::Value;
use tokio::time::timeout;

use super::bell::Bell;
use super::counters::Counters;
use super::hub::Hub;
use super::ring::RINGS_BYTES_MAX;
use super::session::Session;
use super::table::{Rows, Table};

const PATIENCE: Duration = Duration::from_secs(20);
const READERS: usize = 5;

/// One step of a random run.
#[derive(Debug, Clone)]
enum Act {
    Event(u8, AgentEvent),
    Queues(u8, Vec<u8>),
    Remove(u8),
    PutQueue(u8),
    RemoveQueue(u8),
    /// A reader reads this many batches.
    Read(usize, usize),
    /// A reader loses its connection and comes back with what it has.
    Reconnect(usize),
    Resync(usize),
    Yield,
}

fn act() -> impl Strategy<Value = Act> {
    let (agent, queue, reader) = (0_u8..12, 0_u8..4, 0..READERS);
    let event = prop_oneof![
        3 => Just(AgentEvent::Login),
        3 => Just(AgentEvent::Pause { reason: None }),
        3 => Just(AgentEvent::Available),
        1 => Just(AgentEvent::Logout),
    ];
    prop_oneof![
        12 => (agent.clone(), event).prop_map(|(agent, event)| Act::Event(agent, event)),
        4 => (agent.clone(), proptest::collection::vec(queue.clone(), 0..4)).prop_map(|(a, q)| Act::Queues(a, q)),
        1 => agent.prop_map(Act::Remove),
        1 => queue.clone().prop_map(Act::PutQueue),
        1 => queue.prop_map(Act::RemoveQueue),
        8 => (reader.clone(), 1..4_usize).prop_map(|(reader, batches)| Act::Read(reader, batches)),
        2 => reader.clone().prop_map(Act::Reconnect),
        1 => reader.prop_map(Act::Resync),
        4 => Just(Act::Yield),
    ]
}

fn agent(n: u8) -> AgentId {
    AgentId::parse(&format!("{}", 1000 + u32::from(n))).unwrap()
}

fn queue(n: u8) -> QueueId {
    QueueId::parse(&format!("q_{n}")).unwrap()
}

struct World {
    engine: Engine,
    account: Account,
    hub: Arc<Hub>,
    counters: Arc<Counters>,
}

impl World {
    async fn new(ring_bytes: usize) -> Self {
        let engine = Engine::open(Options { create_on_first_use: true, ..Options::memory() }).await.unwrap();
        let account = engine.account(&AccountId::parse("acme").unwrap());
        let counters = Arc::new(Counters::default());
        let hub = Arc::new(Hub::new(&engine, Arc::clone(&counters), ring_bytes));
        Self { engine, account, hub, counters }
    }

    async fn event(&self, n: u8, event: AgentEvent, queues: Option<Vec<QueueChoice>>) {
        let input =
            EventInput { agent: agent(n), event, queues, create: true, expected_seq: None, when: When::Now };
        // What the account refuses changes nothing, which is as good a step as any.
        let _ = self.account.event(By::SYSTEM, input).await;
    }

    async fn reader(&self, view: View, class: RateClass) -> Reader {
        let bell = Arc::new(Bell::default());
        let session = Session::new(&self.hub, self.account.id().clone(), Arc::clone(&bell), 5_000);
        let view = ViewSpec { view, profile: Profile::Full };
        let mut reader = Reader { view, class, bell, session, table: Table::default() };
        reader.session.subscribe(reader.view.clone(), class, None).await.unwrap();
        reader
    }

    /// What the reader's table should hold.
    async fn expected(&self, view: &View) -> (Rows, Rows, u64, Value) {
        let Roster { agents, queues, seq, .. } = self.account.roster().await.unwrap();
        let agents = agents.iter().filter(|row| view.holds(row));
        let agents: Rows =
            agents.map(|row| (row.agent_id.to_string(), serde_json::to_value(row).unwrap())).collect();
        let queues = queues.iter().filter(|row| view.holds_queue(row));
        let queues =
            queues.map(|row| (row.queue_id.to_string(), serde_json::to_value(row).unwrap())).collect();
        let counts = self.account.released().await.unwrap().view_head(view).counts;
        (agents, queues, seq, serde_json::to_value(counts).unwrap())
    }
}

struct Reader {
    view: ViewSpec,
    class: RateClass,
    bell: Arc<Bell>,
    session: Session,
    table: Table,
}

impl Reader {
    /// False: nothing was left to read.
    async fn read(&mut self) -> bool {
        let mut frames = Vec::new();
        let more = self.session.gather(&mut frames).await.unwrap();
        for frame in &frames {
            let frame: Value = serde_json::from_slice(&frame.payload()).unwrap();
            self.table.take(&frame).unwrap_or_else(|wrong| panic!("{wrong}: {frame}"));
        }
        more
    }

    async fn read_all(&mut self) {
        while self.read().await {}
    }

    /// The session's cursor, and whether the heartbeat there proved the table right.
    fn beat(&mut self) -> (u64, bool) {
        let heartbeat: Value = serde_json::from_slice(&self.session.heartbeat().payload()).unwrap();
        let Some(entry) = heartbeat["views"].get(0) else { return (0, false) };
        let before = self.table.seen.proofs;
        self.table.beat(entry).unwrap_or_else(|wrong| panic!("{wrong} ({:?})", self.view));
        (entry[1].as_u64().unwrap(), self.table.seen.proofs > before)
    }

    async fn reconnect(&mut self, hub: &Arc<Hub>) {
        let account = self.session.account().clone();
        self.bell = Arc::new(Bell::default());
        self.session = Session::new(hub, account, Arc::clone(&self.bell), 5_000);
        let since = self.table.epoch.parse().ok().map(|epoch| Cursor { epoch, seq: self.table.seq });
        self.session.subscribe(self.view.clone(), self.class, since).await.unwrap();
    }

    /// Reads until it is proved to be at `seq`.
    async fn settle(&mut self, seq: u64) {
        let settled = async {
            loop {
                self.read_all().await;
                if let (at, true) = self.beat()
                    && at >= seq
                {
                    return;
                }
                // A pass that changes nothing in the view moves the cursor without a ring.
                let _ = timeout(Duration::from_millis(5), self.bell.rung()).await;
            }
        };
        timeout(PATIENCE, settled).await.expect("the reader comes to the head");
    }
}

async fn run(acts: Vec<Act>, ring_bytes: usize) {
    let world = World::new(ring_bytes).await;
    world.event(0, AgentEvent::Login, Some(Vec::new())).await;
    let mut readers = [
        world.reader(View::Account, RateClass::AtOnce).await,
        world.reader(View::Account, RateClass::Ms100).await,
        world.reader(View::Queue(queue(0)), RateClass::AtOnce).await,
        world.reader(View::Queue(queue(1)), RateClass::Ms100).await,
        world.reader(View::Agent(agent(3)), RateClass::AtOnce).await,
    ];
    for act in acts {
        match act {
            Act::Event(n, event) => world.event(n, event, None).await,
            Act::Queues(n, queues) => {
                let choice = |n| QueueChoice { queue: queue(n), tier: None, position: None };
                world.event(n, AgentEvent::Login, Some(queues.into_iter().map(choice).collect())).await;
            }
            Act::Remove(n) => drop(world.account.remove_agent(By::SYSTEM, agent(n)).await),
            Act::PutQueue(n) => {
                drop(world.account.put_queue(By::SYSTEM, queue(n), QueueSettings::default()).await)
            }
            Act::RemoveQueue(n) => drop(world.account.remove_queue(By::SYSTEM, queue(n)).await),
            Act::Read(reader, batches) => {
                for _ in 0..batches {
                    readers[reader].read().await;
                }
            }
            Act::Reconnect(reader) => readers[reader].reconnect(&world.hub).await,
            Act::Resync(reader) => {
                let view = readers[reader].view.clone();
                assert_eq!(readers[reader].session.resync(&view).await, Ok(true));
            }
            Act::Yield => tokio::task::yield_now().await,
        }
    }
    for reader in &mut readers {
        let (agents, queues, seq, buckets) = world.expected(&reader.view.view).await;
        reader.settle(seq).await;
        assert_eq!(reader.table.agents, agents, "{:?}", reader.view);
        assert_eq!(reader.table.queues, queues, "{:?}", reader.view);
        assert_eq!(reader.table.buckets, buckets, "{:?}", reader.view);
    }
    drop(readers);
    assert_eq!(world.hub.read_counters().channels, 0, "a channel goes with its last subscriber");
    assert_eq!(world.hub.read_counters().subscriptions, 0);
    world.engine.shutdown().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_view_and_its_deltas_are_the_servers_state(
        acts in proptest::collection::vec(act(), 1..160),
        // Rings without room fold nearly everybody, roomy ones nobody.
        ring_bytes in prop_oneof![Just(0), Just(4_000), Just(RINGS_BYTES_MAX)],
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run(acts, ring_bytes));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_joins_and_of_resumes_shares_its_bytes() {
    let world = World::new(0).await;
    for n in 0..200 {
        world.event(n, AgentEvent::Login, None).await;
    }
    let mut readers = Vec::new();
    for _ in 0..50 {
        readers.push(world.reader(View::Account, RateClass::AtOnce).await);
    }
    let counted = world.counters.read();
    assert_eq!((counted.snapshots, counted.snapshots_encoded), (50, 1));
    for reader in &mut readers {
        reader.read_all().await;
    }
    for n in 0..200 {
        world.event(n, AgentEvent::Pause { reason: None }, None).await;
    }
    let (agents, _, seq, _) = world.expected(&View::Account).await;
    for reader in &mut readers {
        reader.reconnect(&world.hub).await;
    }
    let folds = world.counters.read().folds_encoded;
    for reader in &mut readers {
        reader.settle(seq).await;
        assert_eq!(reader.table.agents, agents);
        assert_eq!(reader.table.seen.snapshots, 1);
    }
    assert!(folds <= 4, "{folds} folded deltas were encoded for 50 readers");
    drop(readers);
    world.engine.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_fold_comes_in_parts_of_which_each_is_a_delta() {
    let world = World::new(0).await;
    let mut reader = world.reader(View::Account, RateClass::AtOnce).await;
    reader.read_all().await;
    for n in 0..250 {
        world.event(n, AgentEvent::Login, None).await;
    }
    let (agents, _, seq, _) = world.expected(&View::Account).await;
    let mut frames = Vec::new();
    while frames.len() < 4 {
        timeout(PATIENCE, reader.bell.rung()).await.expect("the channel passes");
        while reader.session.gather(&mut frames).await.unwrap() {}
    }
    assert!(frames.iter().all(|frame| frame.len() <= 160 * 1024));
    // A reader cut off between two parts resumes after the first of them.
    let half: Vec<Value> =
        frames[..2].iter().map(|frame| serde_json::from_slice(&frame.payload()).unwrap()).collect();
    for frame in &half {
        reader.table.take(frame).unwrap();
    }
    assert!(reader.table.seq < seq && reader.table.seq == half[1]["to"].as_u64().unwrap());
    reader.reconnect(&world.hub).await;
    reader.settle(seq).await;
    assert_eq!(reader.table.agents, agents);
    assert_eq!(reader.table.seen.snapshots, 1);
    drop(reader);
    world.engine.shutdown().await.unwrap();
}
