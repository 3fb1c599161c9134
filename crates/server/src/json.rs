//! Reads JSON bodies, and says of a bad one which field, which line, which column, and what was probably meant.

use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::problem::Problem;
use crate::suggest::nearest;

/// A body without fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Reads a whole body as `T`.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| explain(&error.path().to_string(), error.inner(), body))?;
    reader.end().map_err(|error| explain("", &error, body))?;
    Ok(value)
}

fn explain(path: &str, error: &serde_json::Error, body: &[u8]) -> Problem {
    if body.trim_ascii().is_empty() {
        return Problem::new(
            StatusCode::BAD_REQUEST,
            "malformed_json",
            "the body is empty; a JSON object is expected",
        );
    }
    let message = error.to_string();
    let problem = match error.classify() {
        Category::Io | Category::Syntax | Category::Eof => Problem::new(
            StatusCode::BAD_REQUEST,
            "malformed_json",
            format!("the body is not JSON: {message}"),
        ),
        Category::Data => of_data(path, message),
    };
    problem.member("line", error.line()).member("column", error.column())
}

fn of_data(path: &str, message: String) -> Problem {
    // serde has no other way to say which field it missed or did not know than its message; a test pins its form.
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let mut words = rest.split('`').skip(1).step_by(2);
        let unknown = words.next().unwrap_or_default().to_owned();
        let problem = Problem::new(
            StatusCode::BAD_REQUEST,
            "unknown_field",
            format!("there is no such field: {message}"),
        );
        return problem.did_you_mean(nearest(&unknown, words)).on(within(path, &unknown));
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        let missing = rest.split('`').nth(1).unwrap_or_default();
        let field = if path == "." { missing.to_owned() } else { format!("{path}.{missing}") };
        return Problem::new(StatusCode::BAD_REQUEST, "missing_field", message).on(field);
    }
    let problem = Problem::new(StatusCode::BAD_REQUEST, "invalid", message);
    if path == "." { problem } else { problem.on(path) }
}

/// The path of an unknown field: the reader's own path may or may not name it already.
fn within(path: &str, unknown: &str) -> String {
    let named = path == unknown || path.ends_with(&format!(".{unknown}"));
    match path {
        "." | "" => unknown.to_owned(),
        path if named => path.to_owned(),
        path => format!("{path}.{unknown}"),
    }
}

/// Booleans as true, false, 1 or 0: what comes out of a database through a form.
pub(crate) mod flag {
    use std::fmt;

    use serde::Deserializer;
    use serde::de::{self, Visitor};

    struct Flag;

    impl Visitor<'_> for Flag {
        type Value = bool;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("true, false, 1 or 0")
        }

        fn visit_bool<E: de::Error>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<bool, E> {
            match value {
                0 => Ok(false),
                1 => Ok(true),
                other => Err(E::invalid_value(de::Unexpected::Unsigned(other), &self)),
            }
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(Flag)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::read;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only whether it reads is of interest")]
    struct Body {
        event: String,
        #[serde(default)]
        queues: Vec<Queue>,
        #[serde(default, deserialize_with = "super::flag::deserialize")]
        on: bool,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only whether it reads is of interest")]
    struct Queue {
        queue_id: u8,
    }

    fn refused(body: &str) -> (&'static str, Option<String>, Option<String>, (u64, u64)) {
        let problem = read::<Body>(body.as_bytes()).unwrap_err();
        let place = |name: &str| problem.members.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        (problem.code, text(&problem.field), text(&problem.hint), (place("line"), place("column")))
    }

    #[test]
    fn an_unknown_field_is_named_with_what_was_meant() {
        let meant = |word: &str| Some(format!("did you mean {word:?}?"));
        let (code, field, hint, place) = refused("{\n  \"evnet\": 1}");
        assert_eq!((code, field, hint), ("unknown_field", Some("evnet".to_owned()), meant("event")));
        assert_eq!(place.0, 2);
        let (_, field, hint, _) = refused(r#"{"event":"a","queues":[{"queue_id":1},{"queueid":2}]}"#);
        assert_eq!((field, hint), (Some("queues[1].queueid".to_owned()), meant("queue_id")));
    }

    #[test]
    fn a_missing_field_a_wrong_type_and_broken_json_say_where() {
        assert_eq!(refused("{}").1.as_deref(), Some("event"));
        let (code, field, _, place) = refused(r#"{"event":"a","queues":[{"queue_id":"x"}]}"#);
        assert_eq!((code, field.as_deref(), place), ("invalid", Some("queues[0].queue_id"), (1, 38)));
        assert_eq!(refused("{\"event\":").0, "malformed_json");
        assert_eq!(refused("{\"event\":\"a\"} x").0, "malformed_json");
        assert_eq!(refused(" ").0, "malformed_json");
        assert_eq!(refused(r#"{"event":"a","on":2}"#).1.as_deref(), Some("on"));
        assert!(read::<Body>(br#"{"event":"a","on":1}"#).is_ok_and(|body| body.on));
    }
}
