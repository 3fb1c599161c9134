#![cfg(test)]
//! A reference client's table: the client rule of the stream, as short as it can be written, and strict where a real
//! client would ask again.

use std::collections::BTreeMap;

use serde_json::Value;

pub type Rows = BTreeMap<String, Value>;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    pub epoch: String,
    pub seq: u64,
    pub agents: Rows,
    pub queues: Rows,
    pub tiles: Value,
    pub buckets: Value,
    /// Rows of a snapshot whose last part has not come.
    shadow: Option<Box<Table>>,
    next_part: u64,
    /// Told to forget: only a snapshot is any good.
    forgotten: bool,
    pub seen: Seen,
}

/// What a table was told so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    pub snapshots: u32,
    pub deltas: u32,
    /// Deltas that said nothing new: overlap.
    pub dropped: u32,
    pub resets: u32,
    /// Heartbeats whose hash was the table's.
    pub proofs: u32,
    /// (from, to) of the last delta.
    pub last: (u64, u64),
    pub folded_max: u64,
}

impl Table {
    /// Takes a frame of the table's view. What a client would resync for is an error here.
    pub fn take(&mut self, frame: &Value) -> Result<(), String> {
        match text(&frame["type"]) {
            "snapshot" => self.snapshot(frame),
            "delta" => self.delta(frame),
            "heartbeat" => Ok(()),
            "reset" => {
                self.forgotten = true;
                self.shadow = None;
                self.seen.resets += 1;
                Ok(())
            }
            other => Err(format!("no frame of a view: {other}")),
        }
    }

    /// One view's entry of a heartbeat.
    pub fn beat(&mut self, entry: &Value) -> Result<(), String> {
        let (seq, hash) = (number(&entry[1]), &entry[2]);
        if self.shadow.is_some() || self.forgotten {
            return Err(format!("a heartbeat within a snapshot: {entry}"));
        }
        if hash.is_null() {
            return Ok(());
        }
        if seq < self.seq {
            return Err(format!("the heartbeat's seq {seq} is before ours, {}", self.seq));
        }
        if *hash != self.hash() {
            return Err(format!("at {seq} the hash is {hash}, ours at {} is {}", self.seq, self.hash()));
        }
        self.seq = seq;
        self.seen.proofs += 1;
        Ok(())
    }

    pub fn hash(&self) -> u64 {
        let rows = self.agents.iter().chain(&self.queues);
        rows.fold(0, |sum, (id, row)| (sum + fnv_1a(&format!("{id}:{}", number(&row["seq"])))) % (1 << 32))
    }

    fn snapshot(&mut self, frame: &Value) -> Result<(), String> {
        if number(&frame["part"]) == 0 {
            let (epoch, seq) = (text(&frame["epoch"]).to_owned(), number(&frame["seq"]));
            self.shadow = Some(Box::new(Self { epoch, seq, ..Self::default() }));
            self.next_part = 0;
        }
        let shadow = self.shadow.as_mut().ok_or("a later part without a first")?;
        if (number(&frame["part"]), number(&frame["seq"])) != (self.next_part, shadow.seq) {
            return Err(format!(
                "part {} of {}, not {} of {}",
                frame["part"], frame["seq"], self.next_part, shadow.seq
            ));
        }
        self.next_part += 1;
        shadow.rows(frame);
        if frame["last"] == false {
            return Ok(());
        }
        let count = (shadow.agents.len() + shadow.queues.len()) as u64;
        if (frame["count"].as_u64(), frame["hash"].as_u64()) != (Some(count), Some(shadow.hash())) {
            return Err(format!(
                "count {} hash {}, ours {count} {}",
                frame["count"],
                frame["hash"],
                shadow.hash()
            ));
        }
        let seen = Seen { snapshots: self.seen.snapshots + 1, ..self.seen.clone() };
        let backwards = !self.forgotten && self.epoch == shadow.epoch && shadow.seq < self.seq;
        if let Some(shadow) = self.shadow.take() {
            *self = Self { seen, ..*shadow };
        }
        if backwards { Err("a snapshot took us back in time".to_owned()) } else { Ok(()) }
    }

    fn delta(&mut self, frame: &Value) -> Result<(), String> {
        let (from, to) = (number(&frame["from"]), number(&frame["to"]));
        if self.shadow.is_some() || self.forgotten {
            return Err(format!("the delta {from}..{to} where a snapshot was due"));
        }
        self.seen.deltas += 1;
        self.seen.folded_max = self.seen.folded_max.max(number(&frame["folded"]));
        if to <= self.seq {
            self.seen.dropped += 1;
            return Ok(());
        }
        if from > self.seq {
            return Err(format!("a gap: {from}..{to} after {}", self.seq));
        }
        self.rows(frame);
        self.seq = to;
        self.seen.last = (from, to);
        Ok(())
    }

    fn rows(&mut self, frame: &Value) {
        for (rows, kind, id) in
            [(&mut self.agents, "agents", "agent_id"), (&mut self.queues, "queues", "queue_id")]
        {
            for row in list(&frame[kind]) {
                put(rows.entry(text(&row[id]).to_owned()).or_default(), row);
            }
        }
        for (rows, kind) in [(&mut self.agents, "removed"), (&mut self.queues, "removed_queues")] {
            for id in list(&frame[kind]) {
                rows.remove(text(id));
            }
        }
        for (ours, kind) in [(&mut self.tiles, "tiles"), (&mut self.buckets, "buckets")] {
            if !frame[kind].is_null() {
                *ours = frame[kind].clone();
            }
        }
    }
}

/// Replaces the fragments a row carries, unless it is older.
fn put(held: &mut Value, row: &Value) {
    if held.is_null() || number(&row["seq"]) >= number(&held["seq"]) {
        for (field, value) in row.as_object().into_iter().flatten() {
            held[field] = value.clone();
        }
    }
}

fn fnv_1a(text: &str) -> u64 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| ((hash ^ u64::from(byte)) * 0x0100_0193) % (1 << 32))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
