//! sip.io's own calls, at the root: the same engine under the names its document uses. Pure mapping, no rules of its own.

pub(crate) mod agent;
mod document;
pub(crate) mod event;
pub(crate) mod presence;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::call::Call;
use crate::problem::Problem;

/// A body as JSON or as a form, which sip.io reads alike. In a form, `queues` is JSON.
fn body<T: DeserializeOwned>(call: &Call) -> Result<T, Problem> {
    let is_form = call.content_type().is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    // curl calls everything a form that is not said to be something else.
    if !is_form || call.body.trim_ascii_start().starts_with(b"{") {
        return crate::json::read(&call.body);
    }
    let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(&call.body)
        .map_err(|error| Problem::invalid("body", format!("the form cannot be read: {error}")))?;
    let mut fields = Map::new();
    for (name, text) in pairs {
        let value = match name.as_str() {
            "queues" => serde_json::from_str(&text)
                .map_err(|error| Problem::invalid("queues", format!("it is not JSON: {error}")))?,
            _ => Value::String(text),
        };
        if fields.insert(name.clone(), value).is_some() {
            return Err(Problem::invalid(name, "it is given twice"));
        }
    }
    crate::json::read(Value::Object(fields).to_string().as_bytes())
}
