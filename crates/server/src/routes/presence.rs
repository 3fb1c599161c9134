//! `/v1/presence` and what concerns one agent of it.

use std::borrow::Cow;
use std::sync::Arc;

use ringfence::core::bucket::{Bucket, BucketCounts, Tile, TileCounts};
use ringfence::core::row::{AgentRow, QueueRow, StatusWord};
use ringfence::{AgentId, QueueId, Roster, TagId, Time};
use ringfence_wire::mask;
use serde::Serialize;
use serde_json::json;

use super::page::{List, Page};
use crate::call::{Answer, Call, ok};
use crate::problem::Problem;
use crate::query::Query;

/// An account's roster, or a page of it.
#[derive(Serialize)]
struct Document<'a> {
    epoch: String,
    seq: u64,
    /// Of the whole roster, whatever is filtered.
    tiles: TileCounts,
    buckets: BucketCounts,
    agents: Vec<Cow<'a, AgentRow>>,
    queues: &'a [Arc<QueueRow>],
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

pub(super) async fn roster(call: Call) -> Answer {
    let (filter, page) = (Filter::read(&call.query)?, Page::<AgentId>::read(&call.query)?);
    let roster = call.account_to_read().await?.roster().await?;
    let matching: Vec<&Arc<AgentRow>> = roster.agents.iter().filter(|row| filter.holds(row)).collect();
    ok(&document(&call, &roster, page.of(matching, |row| &row.agent_id)))
}

fn document<'a>(call: &Call, roster: &'a Roster, page: List<&'a Arc<AgentRow>>) -> Document<'a> {
    let profile = call.profile();
    let List { data, total, next_cursor } = page;
    Document {
        epoch: roster.epoch.to_string(),
        seq: roster.seq,
        tiles: roster.counts.tiles(),
        buckets: roster.counts,
        agents: data.into_iter().map(|row| mask::row(row, profile)).collect(),
        queues: &roster.queues,
        total,
        next_cursor,
    }
}

/// Which rows are asked for: any of the words of each filter that is given.
pub(crate) struct Filter {
    buckets: Vec<Bucket>,
    tiles: Vec<Tile>,
    statuses: Vec<StatusWord>,
    queues: Vec<QueueId>,
    tags: Vec<TagId>,
}

impl Filter {
    pub fn read(query: &Query) -> Result<Self, Problem> {
        Ok(Self {
            buckets: words(query, "bucket", Bucket::parse, Bucket::ALL.map(Bucket::as_str))?,
            tiles: words(query, "tile", tile, Tile::ALL.map(Tile::as_str))?,
            statuses: words(query, "status", status, ["offline", "available", "on_break"])?,
            queues: ids(query, "queue_id")?,
            tags: ids(query, "tag_id")?,
        })
    }

    pub fn holds(&self, row: &AgentRow) -> bool {
        let (Some(live), Some(directory)) = (&row.live, &row.directory) else { return false };
        let among = |queue: &QueueId| directory.queues.iter().any(|member| member.queue_id == *queue);
        (self.buckets.is_empty() || self.buckets.contains(&live.bucket))
            && (self.tiles.is_empty() || self.tiles.contains(&live.tile))
            && (self.statuses.is_empty() || self.statuses.contains(&live.status))
            && (self.queues.is_empty() || self.queues.iter().any(among))
            && (self.tags.is_empty() || self.tags.iter().any(|tag| directory.tags.contains(tag)))
    }
}

fn words<T, const N: usize>(
    query: &Query,
    name: &str,
    parse: fn(&str) -> Option<T>,
    known: [&str; N],
) -> Result<Vec<T>, Problem> {
    let bad = |word: &str| Problem::invalid(name, format!("{word:?} is none of {}", known.join(", ")));
    query.list(name).map(|word| parse(word).ok_or_else(|| bad(word))).collect()
}

fn tile(word: &str) -> Option<Tile> {
    Tile::ALL.into_iter().find(|tile| tile.as_str() == word)
}

fn status(word: &str) -> Option<StatusWord> {
    match word {
        "offline" => Some(StatusWord::Offline),
        "available" => Some(StatusWord::Available),
        "on_break" => Some(StatusWord::OnBreak),
        _ => None,
    }
}

fn ids<T: std::str::FromStr<Err: std::fmt::Display>>(query: &Query, name: &str) -> Result<Vec<T>, Problem> {
    query
        .list(name)
        .map(|text| text.parse().map_err(|error: T::Err| Problem::invalid(name, error.to_string())))
        .collect()
}

pub(super) async fn of_agent(call: Call) -> Answer {
    let agent: AgentId = call.id("agent_id")?;
    let answer = call.account_to_read().await?.read_agent(agent).await?;
    ok(&json!({ "agent": call.shown(&answer.row), "seq": answer.seq }))
}

pub(super) async fn eligibility(call: Call) -> Answer {
    let agent: AgentId = call.id("agent_id")?;
    let queue = call.query.value::<QueueId>("queue_id")?;
    let answer = call.account_to_read().await?.explain(agent.clone(), queue.clone()).await?;
    let checks: Vec<_> = answer
        .explained
        .checks
        .iter()
        .map(|check| {
            json!({
                "clause": check.clause.as_str(),
                "ok": check.ok,
                "since": check.since.map(Time::ms),
                "until": check.until.map(Time::ms),
            })
        })
        .collect();
    ok(&json!({
        "agent_id": agent,
        "queue_id": queue,
        "offerable": answer.explained.offerable,
        "may_receive_direct": answer.explained.may_receive_direct,
        "may_place": answer.explained.may_place,
        "checks": checks,
        "seq": answer.seq,
    }))
}
