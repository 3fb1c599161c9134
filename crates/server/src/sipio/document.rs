//! An agent's live presence as sip.io's callers read it.

use ringfence::AccountId;
use ringfence::core::row::{AgentRow, StatusWord};
use serde_json::{Value, json};

/// The longest number every reader of JSON takes for what it is.
const NUMBER_DIGITS_MAX: usize = 15;

/// The document, without what the row does not have.
pub(super) fn agent(account: &AccountId, row: &AgentRow) -> Value {
    let mut document =
        json!({ "accountId": account, "userId": user_id(row.agent_id.as_str()), "seq": row.seq });
    let Some(fields) = document.as_object_mut() else { return document };
    if let Some(directory) = &row.directory {
        let queues: Vec<Value> = directory
            .queues
            .iter()
            .map(
                |queue| json!({ "queueId": queue.queue_id, "level": queue.tier, "position": queue.position }),
            )
            .collect();
        fields.insert("name".into(), json!(directory.name));
        fields.insert("extension".into(), json!(directory.extension));
        fields.insert("queues".into(), json!(queues));
    }
    if let Some(live) = &row.live {
        let status = match live.status {
            StatusWord::Offline => "offline",
            StatusWord::Available => "available",
            StatusWord::OnBreak => "on_break",
        };
        let pause = live.pause.as_ref().map(|pause| {
            json!({ "id": pause.reason_id, "name": pause.name, "since": pause.since, "until": pause.until })
        });
        fields.insert("status".into(), json!(status));
        fields.insert("statusSince".into(), json!(live.status_since));
        fields.insert("state".into(), json!(live.state));
        fields.insert("reachable".into(), json!(live.reachable));
        fields.insert("bucket".into(), json!(live.bucket.as_str()));
        fields.insert("code".into(), json!(live.bucket.code()));
        fields.insert("tile".into(), json!(live.tile.as_str()));
        fields.insert("since".into(), json!(live.since));
        fields.insert("pauseReason".into(), json!(pause));
        fields.insert(
            "wrapUpUntil".into(),
            json!(live.wrap_ups.iter().filter_map(|wrap_up| wrap_up.until).min()),
        );
        fields.insert("externalCalls".into(), json!(live.external.len()));
        fields.insert("callId".into(), json!(live.calls.first().map(|call| &call.call_id)));
    }
    document
}

/// A number as a number, unless that would change it: 082018 stays text.
fn user_id(id: &str) -> Value {
    let plain = !id.is_empty()
        && id.len() <= NUMBER_DIGITS_MAX
        && id.bytes().all(|byte| byte.is_ascii_digit())
        && (id == "0" || !id.starts_with('0'));
    match id.parse::<u64>() {
        Ok(number) if plain => number.into(),
        Ok(_) | Err(_) => id.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::user_id;

    #[test]
    fn a_number_is_a_number_and_leading_zeros_survive() {
        assert_eq!(user_id("1001"), 1001);
        assert_eq!(user_id("082018"), "082018");
        assert_eq!(user_id("0"), 0);
        assert_eq!(user_id("ana"), "ana");
        assert_eq!(user_id("12345678901234567890"), "12345678901234567890");
    }
}
