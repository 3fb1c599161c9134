//! The answer of `/v1/epoch`: where the count of events stands.

use ringfence_core::{SourceId, Time};
use serde::Deserialize;

use crate::error::AdapterError;
use crate::kamailio::{EPOCH, unreadable};

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct EpochReply {
    pub source: SourceId,
    /// The registrar's start, in ms.
    pub epoch: u64,
    /// The last event sent.
    pub seq: u64,
    /// Events waiting to be sent; they get their numbers then.
    pub queued: u64,
    /// The registrar's clock, in ms.
    pub now: Time,
}

impl EpochReply {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, AdapterError> {
        serde_json::from_slice(bytes).map_err(|error| unreadable(EPOCH, bytes, &error))
    }

    /// Events up to here had happened when this was answered.
    pub(crate) fn cut(&self) -> u64 {
        self.seq.saturating_add(self.queued)
    }
}
