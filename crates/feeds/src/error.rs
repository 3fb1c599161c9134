//! Why a registrar's state could not be had.

/// Nothing was taken; asking again later is always right, and what must be changed first is said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdapterError {
    #[error("{url:?} is not the address of a registrar: {why}; give one like http://127.0.0.1:5060")]
    BadUrl { url: String, why: String },
    #[error("{what}: no answer could be had: {why}; is the registrar up, and does it listen there?")]
    Unreachable { what: &'static str, why: String },
    #[error(
        "{what}: no whole answer within {ms} ms; an answer too large for the registrar's memory never comes"
    )]
    TimedOut { what: &'static str, ms: u64 },
    #[error("{what}: refused with status {status}; may this address ask (RPC_ALLOW)?")]
    Refused { what: &'static str, status: u16 },
    #[error("{what}: the answer broke off after {received} bytes ({why}); the registrar cut it, ask again")]
    CutShort { what: &'static str, received: u64, why: String },
    #[error("{what}: the answer is larger than {limit} bytes; split the registrar, or is it one at all?")]
    TooLarge { what: &'static str, limit: usize },
    #[error("{what}: more than {limit} contacts; split the registrar")]
    TooManyContacts { what: &'static str, limit: usize },
    #[error("{what}: the registrar answered with the error {code}: {message}")]
    Rpc { what: &'static str, code: i64, message: String },
    #[error(
        "{what}: the answer is not what was asked for: {why}; check the registrar's version and configuration"
    )]
    Unexpected { what: &'static str, why: String },
    #[error("the registrar started anew while it was read (epoch {before}, then {after}); ask again")]
    Restarted { before: u64, after: u64 },
}
