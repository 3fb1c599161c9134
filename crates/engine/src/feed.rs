//! From a source's events to its account: continuity, then items of a size one record takes, then the actor.

use std::sync::Arc;

use ringfence_core::agent::{By, Role};
use ringfence_core::feed::{Event, FeedItem, Snapshot};
use ringfence_core::input::{FEED_ITEMS_MAX, Fed};
use ringfence_core::{AccountId, SourceId};

use crate::account::Account;
use crate::error::Error;
use crate::shared::Shared;
use crate::source::Admitted;

/// What became of a batch of events, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeedReport {
    pub accepted: u32,
    pub duplicates: u32,
    /// About agents or AoRs nobody has, beyond what is kept.
    pub unknown: u32,
    /// Index within the batch, and the code.
    pub refused: Vec<(usize, &'static str)>,
    /// The source should send a snapshot.
    pub snapshot_wanted: bool,
}

/// The batch's part of one source that is on its way.
struct Admission {
    items: Vec<FeedItem>,
    firsts: Vec<(SourceId, u64)>,
    /// Sources whose heartbeat was among the events.
    heard: Vec<SourceId>,
}

pub(crate) async fn events(
    shared: &Arc<Shared>,
    account: &AccountId,
    endpoint: &str,
    events: Vec<Event>,
) -> Result<FeedReport, Error> {
    let mut report = FeedReport::default();
    let mut admission =
        Admission { items: Vec::with_capacity(events.len()), firsts: Vec::new(), heard: Vec::new() };
    let (now, margin) = (shared.clock.now(), shared.options.feed_margin_ms);
    for (index, event) in events.into_iter().enumerate() {
        let (source, seq) = (event.source.clone(), event.seq);
        match shared.sources.admit(account, endpoint, event, now, margin) {
            Some(Admitted::Item(item)) => {
                if !admission.firsts.iter().any(|(of, _)| *of == source) {
                    admission.firsts.push((source, seq));
                }
                admission.items.push(item);
            }
            Some(Admitted::Heard) => {
                report.accepted += 1;
                if !admission.heard.contains(&source) {
                    admission.heard.push(source);
                }
            }
            Some(Admitted::Duplicate) => report.duplicates += 1,
            Some(Admitted::OldEpoch) => report.refused.push((index, "old_epoch")),
            None => report.refused.push((index, "too_many_sources")),
        }
    }
    match apply(shared, account, endpoint, admission.items).await {
        Ok(fed) => {
            report.accepted += fed.applied;
            report.duplicates += fed.stale;
            report.unknown += fed.unknown;
        }
        Err(error) => {
            for (source, seq) in admission.firsts {
                shared.sources.take_back(account, endpoint, &source, seq);
            }
            return Err(error);
        }
    }
    for source in admission.heard {
        let handle = Account::new(Arc::clone(shared), shared.cell(account));
        let held = handle.contacts_of(source.clone()).await?;
        shared.sources.compare(account, endpoint, &source, held, now);
    }
    report.snapshot_wanted = shared.sources.snapshot_wanted(account, endpoint);
    Ok(report)
}

pub(crate) async fn snapshot(
    shared: &Arc<Shared>,
    account: &AccountId,
    endpoint: &str,
    snapshot: Snapshot,
) -> Result<FeedReport, Error> {
    let handle = Account::new(Arc::clone(shared), shared.cell(account));
    let known = handle.aors_of(snapshot.source.clone()).await?;
    let (source, cut) = (snapshot.source.clone(), snapshot.cut);
    let (now, margin) = (shared.clock.now(), shared.options.feed_margin_ms);
    let Some(items) = shared.sources.resync(account, endpoint, snapshot, &known, now, margin) else {
        return Ok(FeedReport { refused: vec![(0, "old_epoch")], ..FeedReport::default() });
    };
    match apply(shared, account, endpoint, items).await {
        Ok(fed) => Ok(FeedReport {
            accepted: fed.applied,
            duplicates: fed.stale,
            unknown: fed.unknown,
            refused: Vec::new(),
            snapshot_wanted: shared.sources.snapshot_wanted(account, endpoint),
        }),
        Err(error) => {
            shared.sources.take_back(account, endpoint, &source, cut);
            Err(error)
        }
    }
}

/// Applies the items in order, each input small enough for one record. All inputs are on their way before the first is
/// waited for, so that they share commits.
async fn apply(
    shared: &Arc<Shared>,
    account: &AccountId,
    endpoint: &str,
    items: Vec<FeedItem>,
) -> Result<Fed, Error> {
    let account = Account::new(Arc::clone(shared), shared.cell(account));
    let by = By::new(Role::Registrar, endpoint);
    let mut items = items.into_iter().peekable();
    let mut all = Fed::default();
    // As many inputs at a time as leave the account's permits to others.
    while items.peek().is_some() {
        let mut pending = Vec::new();
        while pending.len() < INPUTS_AT_ONCE && items.peek().is_some() {
            let chunk: Vec<FeedItem> = items.by_ref().take(FEED_ITEMS_MAX).collect();
            pending.push(account.send_feed(by.clone(), chunk).await?);
        }
        for answer in pending {
            let fed = answer.await?.fed;
            all.applied += fed.applied;
            all.stale += fed.stale;
            all.unknown += fed.unknown;
        }
    }
    Ok(all)
}

/// Inputs of one batch under way at once.
const INPUTS_AT_ONCE: usize = 64;
