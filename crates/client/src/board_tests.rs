#![cfg(test)]
//! The client rule against a server that keeps its whole history.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use ringfence_core::agent::{AgentKind, By, State};
use ringfence_core::bucket::{Bucket, BucketCounts};
use ringfence_core::row::{AgentRow, Directory, Live, StatusWord, Today, View, row_hash};
use ringfence_core::{AgentId, Time};
use ringfence_wire::client::{ClientFrame, RateClass};
use ringfence_wire::frame::{RequestId, Resume};
use ringfence_wire::server::{
    Delta, Heartbeat, How, Reset, ServerFrame, Snapshot, SnapshotEnd, Subscribed, ViewBeat,
};
use ringfence_wire::{Profile, ViewSpec};

use crate::board::{Applied, Board};

const AGENTS: usize = 5;
const PART_ROWS: usize = 2;

fn view() -> ViewSpec {
    ViewSpec { view: View::Account, profile: Profile::Full }
}

fn agent(index: usize) -> AgentId {
    AgentId::parse(&format!("100{index}")).unwrap()
}

/// One change of the model's account.
#[derive(Debug, Clone, Copy)]
enum Op {
    Live(usize),
    Directory(usize),
    Remove(usize),
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    row: AgentRow,
    directory_seq: u64,
}

type Rows = BTreeMap<AgentId, Row>;

/// An account with every state it ever was in.
struct Server {
    epoch: u64,
    states: Vec<Rows>,
    gone: Vec<(u64, AgentId)>,
}

impl Server {
    fn new(epoch: u64, ops: &[Op]) -> Self {
        let mut server = Self { epoch, states: vec![Rows::new()], gone: Vec::new() };
        for op in ops {
            server.step(*op);
        }
        server
    }

    fn head(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    fn at(&self, seq: u64) -> &Rows {
        &self.states[usize::try_from(seq).unwrap()]
    }

    fn step(&mut self, op: Op) {
        let seq = self.head() + 1;
        let mut next = self.at(seq - 1).clone();
        match op {
            Op::Live(index) | Op::Directory(index) => {
                let id = agent(index);
                let directory_seq = match (op, next.get(&id)) {
                    (Op::Live(_), Some(held)) => held.directory_seq,
                    (Op::Live(_) | Op::Directory(_) | Op::Remove(_), _) => seq,
                };
                next.insert(id.clone(), Row { row: row(&id, seq, directory_seq, self.epoch), directory_seq });
            }
            Op::Remove(index) => {
                next.remove(&agent(index));
                self.gone.push((seq, agent(index)));
            }
        }
        self.states.push(next);
    }

    fn delta(&self, from: u64, to: u64) -> ServerFrame {
        let state = self.at(to);
        let changed = state.values().filter(|held| held.row.seq > from).map(|held| {
            let directory = held.row.directory.clone().filter(|_| held.directory_seq > from);
            Arc::new(AgentRow { directory, ..held.row.clone() })
        });
        let gone =
            self.gone.iter().filter(|(seq, id)| (from + 1..=to).contains(seq) && !state.contains_key(id));
        ServerFrame::Delta(Delta {
            view: view().to_string(),
            from,
            to,
            at: Time::from_ms(to),
            agents: changed.collect(),
            queues: Vec::new(),
            removed: gone.map(|(_, id)| id.clone()).collect(),
            removed_queues: Vec::new(),
            tiles: BucketCounts::default().tiles(),
            buckets: BucketCounts::default(),
            folded: to - from,
        })
    }

    fn snapshot(&self, seq: u64) -> Vec<ServerFrame> {
        let rows: Vec<Arc<AgentRow>> = self.at(seq).values().map(|held| Arc::new(held.row.clone())).collect();
        let mut parts: Vec<Vec<Arc<AgentRow>>> = rows.chunks(PART_ROWS).map(<[_]>::to_vec).collect();
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        let last = parts.len() - 1;
        let end = SnapshotEnd {
            tiles: BucketCounts::default().tiles(),
            buckets: BucketCounts::default(),
            count: rows.len() as u64,
            hash: self.hash(seq),
        };
        let frame = |(index, agents)| {
            ServerFrame::Snapshot(Snapshot {
                view: view().to_string(),
                epoch: self.epoch,
                seq,
                part: u32::try_from(index).unwrap(),
                agents,
                queues: Vec::new(),
                end: (index == last).then_some(end),
            })
        };
        parts.into_iter().enumerate().map(frame).collect()
    }

    fn hash(&self, seq: u64) -> u32 {
        let rows = self.at(seq).values();
        rows.fold(0, |sum: u32, held| sum.wrapping_add(row_hash(held.row.agent_id.as_str(), held.row.seq)))
    }

    fn heartbeat(&self, seq: u64) -> ServerFrame {
        let beat = ViewBeat { view: view().to_string(), seq, hash: Some(self.hash(seq)) };
        ServerFrame::Heartbeat(Heartbeat { now: Time::from_ms(seq), views: vec![beat] })
    }

    fn subscribed(&self, how: How, seq: u64) -> ServerFrame {
        let view = view().to_string();
        ServerFrame::Subscribed(Subscribed { id: RequestId::Number(1), view, epoch: self.epoch, seq, how })
    }
}

/// Contents that differ with every seq and epoch, so that a wrong fragment shows.
fn row(id: &AgentId, seq: u64, directory_seq: u64, epoch: u64) -> AgentRow {
    let directory = Directory {
        name: Some(format!("{id} at {directory_seq} of {epoch}")),
        extension: None,
        kind: AgentKind::Human,
        capacity: 1,
        active: true,
        queues: Vec::new(),
        tags: Vec::new(),
    };
    let live = Live {
        bucket: Bucket::Idle,
        tile: Bucket::Idle.tile(),
        since: Time::from_ms(seq),
        status: StatusWord::Available,
        status_since: Time::from_ms(epoch),
        state: State::Waiting,
        load: [0, 1],
        reachable: true,
        reachable_since: Time::ZERO,
        pause: None,
        next: None,
        wrap_ups: Vec::new(),
        offers: Vec::new(),
        calls: Vec::new(),
        external: Vec::new(),
        last_offer: None,
        missed_in_row: 0,
        changed_by: By::SYSTEM,
    };
    let today = Today {
        day: "2026-01-01".to_owned(),
        offered: u32::try_from(seq).unwrap(),
        accepted: 0,
        missed: 0,
        rejected: 0,
        talk_ms: 0,
        wrap_up_ms: 0,
        pause_ms: 0,
        ready_ms: 0,
        idle_ms: 0,
        ringing_ms: 0,
        external_ms: 0,
        unreachable_ms: 0,
        logged_in_ms: 0,
    };
    AgentRow {
        agent_id: id.clone(),
        seq,
        directory: Some(Arc::new(directory)),
        live: Some(Arc::new(live)),
        today: Some(Arc::new(today)),
    }
}

/// The one door: gives the board a frame and says what came of it; whatever is settled must be the server's.
fn check(given: (&mut Board, &Server), when: &ServerFrame) -> Applied {
    let (board, server) = given;
    let applied = board.apply(when);
    if let Some(as_of) = board.as_of()
        && as_of.epoch == server.epoch
        && board.is_settled()
    {
        let held: Vec<AgentRow> = board.table().agents().values().map(|row| (**row).clone()).collect();
        let theirs: Vec<AgentRow> = server.at(as_of.seq).values().map(|held| held.row.clone()).collect();
        assert_eq!(held, theirs, "the table is not the server's as of {}", as_of.seq);
        assert_eq!(board.table().hash(), server.hash(as_of.seq));
    }
    applied
}

fn joined(server: &Server, seq: u64) -> Board {
    let mut board = Board::new(view());
    board.subscribe(1, RateClass::AtOnce, None);
    check((&mut board, server), &server.subscribed(How::Snapshot, seq));
    for part in server.snapshot(seq) {
        assert_eq!(check((&mut board, server), &part).send, None);
    }
    assert!(board.is_settled());
    board
}

fn asks_for_resync(applied: &Applied) -> bool {
    matches!(&applied.send, Some(ClientFrame::Resync(resync)) if resync.view == view())
}

fn five() -> Server {
    Server::new(7, &[Op::Live(0), Op::Live(1), Op::Directory(0), Op::Remove(1), Op::Live(0), Op::Live(1)])
}

#[test]
fn a_delta_that_says_nothing_newer_is_dropped() {
    let server = five();
    let mut board = joined(&server, 4);
    assert_eq!(check((&mut board, &server), &server.delta(2, 4)), Applied::default());
    assert_eq!(board.counters().dropped, 1);
}

#[test]
fn an_overlap_is_taken_whole() {
    let server = five();
    let mut board = joined(&server, 4);
    let applied = check((&mut board, &server), &server.delta(1, 6));
    assert_eq!(applied.changed.agents, [agent(0), agent(1)]);
    assert_eq!(board.as_of(), Some(Resume { epoch: 7, seq: 6 }));
}

#[test]
fn a_gap_is_asked_about_once_and_healed_by_the_snapshot() {
    let server = five();
    let mut board = joined(&server, 2);
    assert!(asks_for_resync(&check((&mut board, &server), &server.delta(4, 5))));
    assert_eq!(check((&mut board, &server), &server.delta(5, 6)), Applied::default(), "it is on its way");
    for part in server.snapshot(6) {
        check((&mut board, &server), &part);
    }
    assert!(board.is_settled());
    assert_eq!((board.counters().resyncs, board.counters().snapshots), (1, 2));
}

#[test]
fn a_reset_forgets_and_nothing_applies_until_the_snapshot() {
    let server = five();
    let mut board = joined(&server, 4);
    let reset = Reset { view: view().to_string(), why: "restored".into() };
    check((&mut board, &server), &ServerFrame::Reset(reset));
    assert_eq!((board.as_of(), board.is_settled()), (None, false));
    assert_eq!(check((&mut board, &server), &server.delta(4, 6)), Applied::default());
    let ClientFrame::Subscribe(subscribe) = board.subscribe(2, RateClass::AtOnce, None) else { panic!() };
    assert_eq!(subscribe.since, None);
}

#[test]
fn an_equal_hash_moves_the_cursor_and_a_different_one_is_counted() {
    let server = five();
    let mut board = joined(&server, 4);
    // Records 5 and 6 concern somebody else, says the server, and the rows are the same.
    let same = ViewBeat { view: view().to_string(), seq: 40, hash: Some(server.hash(4)) };
    board.apply(&ServerFrame::Heartbeat(Heartbeat { now: Time::ZERO, views: vec![same] }));
    assert_eq!(board.as_of(), Some(Resume { epoch: 7, seq: 40 }));

    let mut board = joined(&server, 4);
    assert!(asks_for_resync(&check((&mut board, &server), &server.heartbeat(6))));
    assert_eq!(board.counters().hash_mismatches, 1);
    assert_eq!(check((&mut board, &server), &server.heartbeat(6)), Applied::default());
    assert_eq!(board.counters().hash_mismatches, 1, "one mismatch is one, however many heartbeats say so");
}

#[test]
fn a_snapshot_that_lost_a_part_is_refused() {
    let server = Server::new(7, &[Op::Live(0), Op::Live(1), Op::Live(2), Op::Live(3), Op::Live(4)]);
    let mut board = joined(&server, 1);
    let parts = server.snapshot(5);
    assert_eq!(parts.len(), 3);
    assert_eq!(check((&mut board, &server), &parts[0]), Applied::default());
    assert!(asks_for_resync(&check((&mut board, &server), &parts[2])));
    assert_eq!(board.as_of(), Some(Resume { epoch: 7, seq: 1 }), "the table that was shown stays");
}

#[test]
fn a_connection_whose_snapshots_never_fit_is_given_up() {
    let server = five();
    let mut board = joined(&server, 2);
    let mut bad = server.snapshot(4);
    for frame in &mut bad {
        if let ServerFrame::Snapshot(Snapshot { end: Some(end), .. }) = frame {
            end.hash ^= 1;
        }
    }
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.extend(bad.iter().map(|part| check((&mut board, &server), part)));
    }
    assert_eq!(answers.iter().filter(|applied| asks_for_resync(applied)).count(), 3);
    assert_eq!(answers.iter().filter(|applied| applied.give_up.is_some()).count(), 1);
    assert_eq!(board.as_of(), None);
}

#[test]
fn half_of_an_unknown_row_is_a_reason_to_ask() {
    let server = five();
    let mut board = joined(&server, 4);
    let ServerFrame::Delta(mut delta) = server.delta(4, 6) else { panic!() };
    let half = AgentRow { agent_id: agent(4), directory: None, ..(*delta.agents[0]).clone() };
    delta.agents.push(Arc::new(half));
    assert!(asks_for_resync(&board.apply(&ServerFrame::Delta(delta))));
}

#[derive(Debug, Clone)]
enum Event {
    /// A delta between two points of the history, whatever the board has.
    Delta(prop::sample::Index, prop::sample::Index),
    Heartbeat(prop::sample::Index),
    /// What was asked for, if anything was.
    Answer,
    /// A snapshot cut off after its first part, then another connection.
    Broken,
    Reconnect,
    Reset,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0..AGENTS).prop_map(Op::Live),
        2 => (0..AGENTS).prop_map(Op::Directory),
        1 => (0..AGENTS).prop_map(Op::Remove),
    ];
    prop::collection::vec(op, 1..30)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => (any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(a, b)| Event::Delta(a, b)),
        2 => any::<prop::sample::Index>().prop_map(Event::Heartbeat),
        3 => Just(Event::Answer),
        1 => Just(Event::Broken),
        1 => Just(Event::Reconnect),
        1 => Just(Event::Reset),
    ];
    prop::collection::vec(event, 1..40)
}

/// Reconnects as a server would answer it: going on where that is possible.
fn reconnect(board: &mut Board, server: &Server) {
    let ClientFrame::Subscribe(subscribe) = board.subscribe(1, RateClass::AtOnce, None) else { panic!() };
    let head = server.head();
    match subscribe.since.filter(|since| since.epoch == server.epoch && since.seq <= head) {
        Some(since) => {
            check((board, server), &server.subscribed(How::CatchUp, since.seq));
            if since.seq < head {
                // Cursors may be rounded down, so that many reconnects share the same bytes.
                check((board, server), &server.delta(since.seq / 2, head));
            }
        }
        None => {
            check((board, server), &server.subscribed(How::Snapshot, head));
            for part in server.snapshot(head) {
                check((board, server), &part);
            }
        }
    }
}

fn play(board: &mut Board, server: &Server, event: &Event) {
    let states = server.states.len();
    let mut asked = false;
    match event {
        Event::Delta(a, b) => {
            let (a, b) = (a.index(states) as u64, b.index(states) as u64);
            if a != b {
                asked = asks_for_resync(&check((board, server), &server.delta(a.min(b), a.max(b))));
            }
        }
        Event::Heartbeat(at) => {
            let frame = server.heartbeat(at.index(states) as u64);
            asked = asks_for_resync(&check((board, server), &frame));
        }
        Event::Answer => {}
        Event::Broken => {
            check((board, server), &server.snapshot(server.head())[0]);
            reconnect(board, server);
        }
        Event::Reconnect => reconnect(board, server),
        Event::Reset => {
            let reset = Reset { view: view().to_string(), why: "test".into() };
            check((board, server), &ServerFrame::Reset(reset));
        }
    }
    if asked || (matches!(event, Event::Answer) && !board.is_settled()) {
        for part in server.snapshot(server.head()) {
            check((board, server), &part);
        }
    }
}

proptest! {
    #[test]
    fn whatever_comes_in_whatever_order_a_settled_board_is_the_server_as_of_its_seq(
        ops in ops(), events in events(), later in ops(),
    ) {
        let server = Server::new(7, &ops);
        let mut board = joined(&server, server.head() / 2);
        for event in &events {
            play(&mut board, &server, event);
        }
        // A new epoch: nothing of the old one may be left.
        let server = Server::new(8, &later);
        reconnect(&mut board, &server);
        prop_assert_eq!(board.as_of(), Some(Resume { epoch: 8, seq: server.head() }));
        prop_assert!(board.is_settled());
    }
}
