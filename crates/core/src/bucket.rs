//! Live-status buckets and tiles (model.md §7): nine words for a dashboard, first match wins, and six tiles over them.

use serde::{Deserialize, Serialize};

/// What one agent looks like to a supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    ExternalCall,
    InCall,
    Offline,
    Unreachable,
    Ringing,
    Paused,
    WrapUp,
    Ready,
    Idle,
}

/// The status half of an agent, as far as buckets care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Intent {
    Offline,
    Available,
    OnBreak,
}

/// What a bucket is decided from. Each field is one column of the reference table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Facets {
    /// `external_calls` is not empty.
    pub external_call: bool,
    /// Some slot is in a call.
    pub in_call: bool,
    /// Some slot holds a live offer.
    pub offering: bool,
    /// Some slot is free: no offer, no call, no running wrap-up (clauses 3 and 6).
    pub free_slot: bool,
    pub intent: Intent,
    /// Reachability as shown: losing the phone may be debounced.
    pub reachable: bool,
    /// Clauses 1 to 8 of the fence hold for a queue offer.
    pub offerable: bool,
    /// Member of at least one queue.
    pub in_queue: bool,
}

impl Bucket {
    pub const ALL: [Self; 9] = [
        Self::ExternalCall,
        Self::InCall,
        Self::Offline,
        Self::Unreachable,
        Self::Ringing,
        Self::Paused,
        Self::WrapUp,
        Self::Ready,
        Self::Idle,
    ];

    /// The first bucket whose condition holds, in the order of model.md §7.
    pub fn of(facets: Facets) -> Self {
        if facets.external_call {
            Self::ExternalCall
        } else if facets.in_call && !facets.free_slot {
            Self::InCall
        } else if facets.intent == Intent::Offline {
            Self::Offline
        } else if !facets.reachable {
            Self::Unreachable
        } else if facets.offering && !facets.free_slot {
            Self::Ringing
        } else if facets.intent == Intent::OnBreak {
            Self::Paused
        } else if !facets.free_slot {
            Self::WrapUp
        } else if facets.offerable && facets.in_queue {
            Self::Ready
        } else {
            Self::Idle
        }
    }

    pub const fn tile(self) -> Tile {
        match self {
            Self::Ready | Self::Idle => Tile::Available,
            Self::ExternalCall | Self::InCall => Tile::OnCall,
            Self::Ringing => Tile::Ringing,
            Self::Paused => Tile::Paused,
            Self::WrapUp => Tile::WrapUp,
            Self::Offline | Self::Unreachable => Tile::Offline,
        }
    }

    /// The name used in every row and frame.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExternalCall => "external_call",
            Self::InCall => "in_call",
            Self::Offline => "offline",
            Self::Unreachable => "unreachable",
            Self::Ringing => "ringing",
            Self::Paused => "paused",
            Self::WrapUp => "wrap_up",
            Self::Ready => "ready",
            Self::Idle => "idle",
        }
    }

    /// sip.io's short spelling.
    pub const fn code(self) -> &'static str {
        match self {
            Self::ExternalCall => "extcall",
            Self::InCall => "incall",
            Self::Offline => "offline",
            Self::Unreachable => "unreachable",
            Self::Ringing => "ring",
            Self::Paused => "paused",
            Self::WrapUp => "wrapup",
            Self::Ready => "ready",
            Self::Idle => "idle",
        }
    }

    /// Reads either spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bucket| bucket.as_str() == text || bucket.code() == text)
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// What a wall shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tile {
    Available,
    OnCall,
    Ringing,
    Paused,
    WrapUp,
    Offline,
}

impl Tile {
    pub const ALL: [Self; 6] =
        [Self::Available, Self::OnCall, Self::Ringing, Self::Paused, Self::WrapUp, Self::Offline];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::OnCall => "on_call",
            Self::Ringing => "ringing",
            Self::Paused => "paused",
            Self::WrapUp => "wrap_up",
            Self::Offline => "offline",
        }
    }
}

/// How many agents stand in each bucket. Both levels are always given; both sums equal the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BucketCounts {
    pub external_call: u32,
    pub in_call: u32,
    pub offline: u32,
    pub unreachable: u32,
    pub ringing: u32,
    pub paused: u32,
    pub wrap_up: u32,
    pub ready: u32,
    pub idle: u32,
}

/// How many agents stand in each tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TileCounts {
    pub available: u32,
    pub on_call: u32,
    pub ringing: u32,
    pub paused: u32,
    pub wrap_up: u32,
    pub offline: u32,
}

impl BucketCounts {
    pub fn get(&self, bucket: Bucket) -> u32 {
        match bucket {
            Bucket::ExternalCall => self.external_call,
            Bucket::InCall => self.in_call,
            Bucket::Offline => self.offline,
            Bucket::Unreachable => self.unreachable,
            Bucket::Ringing => self.ringing,
            Bucket::Paused => self.paused,
            Bucket::WrapUp => self.wrap_up,
            Bucket::Ready => self.ready,
            Bucket::Idle => self.idle,
        }
    }

    fn slot(&mut self, bucket: Bucket) -> &mut u32 {
        match bucket {
            Bucket::ExternalCall => &mut self.external_call,
            Bucket::InCall => &mut self.in_call,
            Bucket::Offline => &mut self.offline,
            Bucket::Unreachable => &mut self.unreachable,
            Bucket::Ringing => &mut self.ringing,
            Bucket::Paused => &mut self.paused,
            Bucket::WrapUp => &mut self.wrap_up,
            Bucket::Ready => &mut self.ready,
            Bucket::Idle => &mut self.idle,
        }
    }

    pub fn enter(&mut self, bucket: Bucket) {
        *self.slot(bucket) += 1;
    }

    pub fn leave(&mut self, bucket: Bucket) {
        let count = self.slot(bucket);
        *count = count.saturating_sub(1);
    }

    pub fn total(&self) -> u32 {
        Bucket::ALL.into_iter().map(|bucket| self.get(bucket)).sum()
    }

    pub fn tiles(&self) -> TileCounts {
        TileCounts {
            available: self.ready + self.idle,
            on_call: self.external_call + self.in_call,
            ringing: self.ringing,
            paused: self.paused,
            wrap_up: self.wrap_up,
            offline: self.offline + self.unreachable,
        }
    }
}

impl TileCounts {
    pub fn get(&self, tile: Tile) -> u32 {
        match tile {
            Tile::Available => self.available,
            Tile::OnCall => self.on_call,
            Tile::Ringing => self.ringing,
            Tile::Paused => self.paused,
            Tile::WrapUp => self.wrap_up,
            Tile::Offline => self.offline,
        }
    }
}
