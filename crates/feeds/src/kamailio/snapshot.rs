//! Three answers made into one snapshot.

use ringfence_core::feed::Snapshot;

use crate::error::AdapterError;
use crate::kamailio::EPOCH;
use crate::kamailio::dump::{Dump, LeftOut};
use crate::kamailio::epoch::EpochReply;

/// A snapshot, and what of the dump is not in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulled {
    pub snapshot: Snapshot,
    pub left_out: LeftOut,
}

/// The bodies of `/v1/epoch`, `ul.dump`, and `/v1/epoch` again, in the order they were asked for. Times are the
/// registrar's: `at` is its clock at the first answer.
pub fn snapshot(epoch_before: &[u8], dump: &[u8], epoch_after: &[u8]) -> Result<Pulled, AdapterError> {
    let before = EpochReply::parse(epoch_before)?;
    let after = EpochReply::parse(epoch_after)?;
    if before.epoch != after.epoch {
        return Err(AdapterError::Restarted { before: before.epoch, after: after.epoch });
    }
    if before.source != after.source {
        let why = format!("the source was {:?}, then {:?}", before.source, after.source);
        return Err(AdapterError::Unexpected { what: EPOCH, why });
    }
    let Dump { bindings, left_out, .. } = Dump::parse(dump, before.now)?;
    let cut = before.cut();
    let snapshot = Snapshot { source: before.source, epoch: before.epoch, cut, at: before.now, bindings };
    Ok(Pulled { snapshot, left_out })
}
