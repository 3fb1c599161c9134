//! Kamailio 5.6 and later, configured as in `docs/integrations/kamailio`.
//!
//! The configuration counts its events (`epoch`, `seq`) and says so at `/v1/epoch`; `ul.dump` gives the contacts but no
//! place in that count. So the epoch is read before and after: what was emitted before the first reading is in the dump,
//! which makes its `seq` + `queued` the cut, and a change that is both in the dump and after the cut is applied twice,
//! which changes nothing. Two epochs mean a restart in between.

mod dump;
mod epoch;
mod puller;
mod snapshot;

use crate::error::AdapterError;

pub use dump::LeftOut;
pub use puller::{Config, DUMP_BYTES_MAX, DUMP_TIMEOUT, EPOCH_BYTES_MAX, EPOCH_TIMEOUT, Puller};
pub use snapshot::{Pulled, snapshot};

/// Names of the two questions, as they stand in errors.
const EPOCH: &str = "GET /v1/epoch";
const DUMP: &str = "ul.dump";

/// What is wrong with JSON that could not be read. An end in the middle is the registrar's doing, not a wrong answer.
fn unreadable(what: &'static str, bytes: &[u8], error: &serde_json::Error) -> AdapterError {
    let text = bytes.trim_ascii();
    // Cut behind a minus sign, say, it is no number rather than no end.
    let open = text.starts_with(b"{") && !text.ends_with(b"}");
    if error.is_eof() || open {
        let received = bytes.len() as u64;
        return AdapterError::CutShort { what, received, why: "the JSON has no end".to_owned() };
    }
    AdapterError::Unexpected { what, why: error.to_string() }
}
