//! What an operator's Prometheus reads: numbers by route and code, never by account, agent or number.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use ringfence::Engine;

use crate::stream::Streams;

/// Why a connection was turned away before it said anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TurnedAway {
    Full,
    PeerFull,
}

impl TurnedAway {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "connections",
            Self::PeerFull => "connections_per_peer",
        }
    }
}

/// The server's own counters.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub connections: AtomicI64,
    pub feed_events: AtomicU64,
    pub feed_refused: AtomicU64,
    /// By route, method and status: as many as there are routes times statuses.
    requests: Mutex<BTreeMap<(&'static str, &'static str, u16), u64>>,
    problems: Mutex<BTreeMap<&'static str, u64>>,
    turned_away: Mutex<BTreeMap<TurnedAway, u64>>,
}

impl Metrics {
    pub fn answered(&self, route: &'static str, method: &'static str, status: u16) {
        *self.requests.lock().entry((route, method, status)).or_default() += 1;
    }

    pub fn problem(&self, code: &'static str) {
        *self.problems.lock().entry(code).or_default() += 1;
    }

    pub fn turned_away(&self, why: TurnedAway) {
        *self.turned_away.lock().entry(why).or_default() += 1;
    }

    pub fn fed(&self, accepted: u64, refused: u64) {
        self.feed_events.fetch_add(accepted, Ordering::Relaxed);
        self.feed_refused.fetch_add(refused, Ordering::Relaxed);
    }
}

/// The Prometheus text format, version 0.0.4.
pub(crate) struct Page {
    text: String,
}

impl Page {
    pub fn new() -> Self {
        Self { text: String::with_capacity(8 * 1024) }
    }

    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help, [(String::new(), value)]);
    }

    pub fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "gauge", help, [(String::new(), value)]);
    }

    /// Series of one name, each with its labels as they stand between the braces.
    pub fn family(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        series: impl IntoIterator<Item = (String, u64)>,
    ) {
        // To write to a String cannot fail.
        let _ = writeln!(self.text, "# HELP ringfence_{name} {help}\n# TYPE ringfence_{name} {kind}");
        for (labels, value) in series {
            let _ = match labels.as_str() {
                "" => writeln!(self.text, "ringfence_{name} {value}"),
                labels => writeln!(self.text, "ringfence_{name}{{{labels}}} {value}"),
            };
        }
    }

    pub fn finish(self) -> String {
        self.text
    }
}

/// The engine's half of the page.
pub(crate) fn engine(page: &mut Page, engine: &Engine) {
    let counters = engine.counters();
    page.counter("records_total", "Records journalled.", counters.records);
    page.counter("commits_total", "Group commits.", counters.commits);
    page.counter("journal_bytes_total", "Bytes journalled.", counters.journal_bytes);
    page.counter("snapshots_total", "Snapshots of accounts written.", counters.snapshots);
    page.counter("offers_granted_total", "Offers granted.", counters.granted);
    let labelled = |label: &'static str, counts: Vec<(&'static str, u64)>| {
        counts.into_iter().map(move |(name, count)| (format!("{label}=\"{name}\""), count))
    };
    page.family("offers_ended_total", "counter", "Offers ended.", labelled("outcome", counters.offers_ended));
    page.family("refusals_total", "counter", "Inputs refused.", labelled("code", counters.refusals));
    page.counter("busy_total", "Requests turned away while too many were under way.", counters.busy);
    page.counter("account_restarts_total", "Accounts restarted after a panic.", counters.restarts);
    page.gauge("accounts_loaded", "Accounts in memory.", counters.accounts_loaded);
    page.gauge(
        "accounts_quarantined",
        "Accounts that answer nothing until somebody looks.",
        counters.quarantined,
    );
    page.gauge("journal_tail_bytes", "Journal a restart replays.", counters.journal_tail_bytes);
    page.gauge(
        "history_behind_bytes",
        "Journal the history does not have yet.",
        counters.history_behind_bytes,
    );
    page.counter(
        "history_skipped_batches_total",
        "Batches trimmed without having been in the history.",
        counters.history_skipped,
    );
    page.gauge("disk_free_bytes", "Free on the data disk; 0 in mode memory.", counters.free_bytes);
    let sources = engine.sources();
    let sum = |of: fn(&ringfence::SourceStatus) -> u64| sources.iter().map(of).sum();
    page.gauge("feed_sources", "Registrar sources heard of.", sources.len() as u64);
    page.gauge(
        "feed_sources_suspect",
        "Sources that are silent or lost events.",
        sum(|s| u64::from(s.suspect)),
    );
    page.counter("feed_gaps_total", "Gaps in sources' sequences.", sum(|s| s.gaps));
    page.counter("feed_duplicates_total", "Events heard twice.", sum(|s| s.duplicates));
}

/// The server's half of the page.
pub(crate) fn server(page: &mut Page, metrics: &Metrics, tickets_open: usize) {
    let connections = u64::try_from(metrics.connections.load(Ordering::Relaxed)).unwrap_or(0);
    page.gauge("connections", "Connections open.", connections);
    page.gauge("tickets_open", "Tickets not used yet.", tickets_open as u64);
    let turned_away: Vec<_> = metrics.turned_away.lock().iter().map(|(why, count)| (*why, *count)).collect();
    page.family(
        "connections_refused_total",
        "counter",
        "Connections turned away, by the limit that did it.",
        turned_away.into_iter().map(|(why, count)| (format!("limit=\"{}\"", why.as_str()), count)),
    );
    page.counter("feed_events_total", "Feed events taken.", metrics.feed_events.load(Ordering::Relaxed));
    page.counter("feed_refused_total", "Feed events refused.", metrics.feed_refused.load(Ordering::Relaxed));
    let problems: Vec<_> = metrics.problems.lock().iter().map(|(code, count)| (*code, *count)).collect();
    page.family(
        "http_problems_total",
        "counter",
        "Answers that were problems, by code.",
        problems.into_iter().map(|(code, count)| (format!("code=\"{code}\""), count)),
    );
    let requests: Vec<_> = metrics.requests.lock().iter().map(|(key, count)| (*key, *count)).collect();
    page.family(
        "http_requests_total",
        "counter",
        "Requests answered.",
        requests.into_iter().map(|((route, method, status), count)| {
            (format!("route=\"{route}\",method=\"{method}\",status=\"{status}\""), count)
        }),
    );
}

/// The streams' part of the page.
pub(crate) fn streams(page: &mut Page, streams: &Streams) {
    let counters = streams.counters();
    page.gauge("stream_connections", "Streams open.", counters.connections);
    page.gauge("stream_subscriptions", "Views watched.", counters.subscriptions);
    page.gauge("stream_channels", "Views encoded once for all who watch them.", counters.channels);
    page.gauge("stream_ring_bytes", "Frames kept for those who come back.", counters.ring_bytes);
    page.counter(
        "stream_ring_frames_refused_total",
        "Frames not kept for want of room.",
        counters.ring_frames_refused,
    );
    page.counter("stream_accepted_total", "Streams opened.", counters.accepted);
    page.counter("stream_refused_total", "Streams refused.", counters.refused);
    page.counter("stream_passes_total", "Passes that encoded something.", counters.passes);
    page.counter("stream_frames_sent_total", "Frames sent.", counters.frames_sent);
    page.counter("stream_bytes_sent_total", "Bytes sent.", counters.bytes_sent);
    page.counter("stream_folds_total", "Folded deltas sent to one reader each.", counters.folds);
    page.counter("stream_folds_encoded_total", "Folded deltas encoded.", counters.folds_encoded);
    page.counter("stream_snapshots_total", "Snapshots sent.", counters.snapshots);
    page.counter("stream_snapshots_encoded_total", "Snapshots encoded.", counters.snapshots_encoded);
    page.counter("stream_resets_total", "Readers told to forget and begin anew.", counters.resets);
    page.counter("stream_resyncs_total", "Readers that found their table wrong.", counters.resyncs);
    page.family(
        "stream_closed_total",
        "counter",
        "Streams the server closed, by close code.",
        counters.closed.into_iter().map(|(code, count)| (format!("code=\"{code}\""), count)),
    );
}
