//! What a server is told before it listens.

use std::net::SocketAddr;

use ringfence::AccountId;

/// How a server listens, whom it believes, and what it bears.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    pub listen: SocketAddr,
    /// Development: a key is minted, unknown agents come to be at their first use, and sip.io's calls from this machine
    /// need no credential.
    pub dev: bool,
    /// The development key to accept; without one, one is minted. Ignored unless `dev`.
    pub dev_key: Option<String>,
    /// Origins a browser may connect from, beside the server's own: `https://board.example`.
    pub origins: Vec<String>,
    /// Heartbeat interval of streams that ask for none, 1000..=60000.
    pub heartbeat_ms: u64,
    pub limits: Limits,
    /// Name of this node, as streams say it.
    pub node: String,
    pub kamailio: Vec<KamailioSource>,
}

impl ServerConfig {
    /// The defaults, for a server at `listen`.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            dev: false,
            dev_key: None,
            origins: Vec::new(),
            heartbeat_ms: 5_000,
            limits: Limits::default(),
            node: "ringfence".to_owned(),
            kamailio: Vec::new(),
        }
    }
}

/// A Kamailio whose bindings are read as a whole now and then, since not everything it does makes an event.
#[derive(Debug, Clone)]
pub struct KamailioSource {
    pub account: AccountId,
    /// The endpoint its events come in by: the id of the key it posts with.
    pub endpoint: String,
    /// Its JSON-RPC over HTTP.
    pub url: String,
}

/// What the server bears, and where it says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, streams included. Each costs about 16 KiB before it is known who it is.
    pub connections: usize,
    /// Of one address. Loopback has no such limit: it is a proxy, which has clients of its own.
    pub connections_per_peer: usize,
    /// Upgrades to a websocket under way at once.
    pub handshakes: usize,
    /// What a client may take to send its request's head.
    pub head_ms: u64,
    /// What a client may take to send a body.
    pub body_ms: u64,
    pub head_bytes: usize,
    pub headers: usize,
    pub body_bytes: usize,
    /// Body of feed events: a registrar that was cut off sends what it kept.
    pub feed_bytes: usize,
    /// Body of a registrar's snapshot: 100,000 bindings are about 30 MiB.
    pub snapshot_bytes: usize,
    /// All bodies beyond [`BODY_FREE_BYTES`] together.
    pub bodies_bytes: usize,
    /// Requests per route and account, and per router's account.
    pub requests: Quota,
    pub router_requests: Quota,
    pub tickets: Quota,
    /// Tickets nobody has redeemed yet.
    pub tickets_open: usize,
    /// Without a byte of progress for this long a stream's client has stalled, and is closed.
    pub stall_ms: u64,
    /// What a read waits for the `after_seq` it names.
    pub read_wait_ms: u64,
    /// What a draining server waits for its last requests.
    pub drain_ms: u64,
}

/// So many requests per so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub requests: u32,
    pub window_sec: u32,
}

/// Bodies up to this size are not counted against the common budget: nearly all are.
pub const BODY_FREE_BYTES: usize = 64 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 50_000,
            connections_per_peer: 2_048,
            handshakes: 256,
            head_ms: 5_000,
            body_ms: 30_000,
            head_bytes: 16 * 1024,
            headers: 64,
            body_bytes: 1024 * 1024,
            feed_bytes: 8 * 1024 * 1024,
            snapshot_bytes: 64 * 1024 * 1024,
            bodies_bytes: 256 * 1024 * 1024,
            requests: Quota { requests: 2_000, window_sec: 10 },
            router_requests: Quota { requests: 50_000, window_sec: 10 },
            tickets: Quota { requests: 1_000, window_sec: 10 },
            tickets_open: 16 * 1024,
            stall_ms: 15_000,
            read_wait_ms: 2_000,
            drain_ms: 10_000,
        }
    }
}
