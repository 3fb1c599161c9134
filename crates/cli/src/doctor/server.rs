//! How a server that answers is doing, as far as the key may know.

use ringfence_client::{Api, ApiError, Credential};
use serde_json::Value;

use crate::args::RemoteArgs;
use crate::doctor::finding::{Finding, State};
use crate::failure::Failure;

/// What a server said.
#[derive(Debug)]
pub struct Answer {
    version: Result<Value, ApiError>,
    ready: Result<(), ApiError>,
    who: Result<Value, ApiError>,
    metrics: Result<String, ApiError>,
}

/// None if nobody answers.
pub async fn ask(remote: &RemoteArgs) -> Result<Option<Answer>, Failure> {
    let key = remote.api_key.clone().unwrap_or_default();
    let api = Api::new(remote.server_url()?, Credential::new(key));
    let version = api.document("/version").await;
    if matches!(version, Err(ApiError::Transport { .. })) {
        return Ok(None);
    }
    Ok(Some(Answer {
        version,
        ready: api.text("/readyz").await.map(drop),
        who: api.document("/v1/whoami").await,
        metrics: api.text("/metrics").await,
    }))
}

pub fn findings(answer: Option<&Answer>, with_key: bool) -> Vec<Finding> {
    let Some(answer) = answer else {
        return vec![Finding::new("server", State::Skipped, "none answers at --server")];
    };
    vec![server(answer), key(answer, with_key), feeds(answer)]
}

fn server(answer: &Answer) -> Finding {
    let what = "server";
    match (&answer.version, &answer.ready) {
        (Ok(version), Ok(())) => {
            let version = version.get("version").and_then(Value::as_str).unwrap_or("of unknown version");
            Finding::new(what, State::Good, format!("ready, {version}"))
        }
        (Ok(_), Err(why)) => Finding::new(what, State::Bad, format!("not ready: {why}")),
        (Err(why), _) => Finding::new(what, State::Bad, format!("something else answers there: {why}")),
    }
}

fn key(answer: &Answer, with_key: bool) -> Finding {
    let what = "key";
    if !with_key {
        return Finding::new(what, State::Skipped, "none given; give --key KEY");
    }
    match &answer.who {
        Ok(who) => {
            let scopes = who.get("scopes").map(ToString::to_string).unwrap_or_default();
            Finding::new(what, State::Good, format!("believed, scopes {scopes}"))
        }
        Err(why) => Finding::new(what, State::Bad, why.to_string()),
    }
}

/// Silent registrars: phones that seem registered because nobody says that they are not.
fn feeds(answer: &Answer) -> Finding {
    let what = "feeds";
    let page = match &answer.metrics {
        Ok(page) => page,
        Err(why) => return Finding::new(what, State::Skipped, format!("/metrics is not shown: {why}")),
    };
    let (Some(sources), Some(suspect)) =
        (metric(page, "ringfence_feed_sources"), metric(page, "ringfence_feed_sources_suspect"))
    else {
        return Finding::new(what, State::Skipped, "/metrics says nothing of them");
    };
    let detail = format!("{sources} sources, {suspect} not heard of for two heartbeats");
    match (sources, suspect) {
        (0, _) => Finding::new(what, State::Doubtful, "no registrar has said anything yet"),
        (_, 0) => Finding::new(what, State::Good, detail),
        (_, _) => Finding::new(what, State::Bad, format!("{detail}; look at the registrar's side")),
    }
}

/// The value of a series without labels.
fn metric(page: &str, name: &str) -> Option<u64> {
    let line = page.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::metric;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let page = "# TYPE a_b gauge\na_b_c 7\na_b 3\n";
        assert_eq!(metric(page, "a_b"), Some(3));
        assert_eq!(metric(page, "a"), None);
    }
}
