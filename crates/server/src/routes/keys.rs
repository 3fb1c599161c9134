//! `/v1/whoami` and `/v1/keys`.

use axum::http::StatusCode;
use ringfence::{AccountId, KeyRow};
use serde::Deserialize;
use serde_json::{Value, json};

use super::page::Page;
use crate::auth::{DEV_KEY_ID, NewKey, Principal, Scope, Scopes};
use crate::call::{Answer, Call, header_account, json, ok, resolve};
use crate::problem::Problem;
use crate::suggest::nearest;

/// Longest label of a key.
const LABEL_CHARS_MAX: usize = 128;
/// Keys of one server: they are all in memory.
const KEYS_MAX: usize = 100_000;

pub(super) async fn whoami(call: Call) -> Answer {
    let principal = &call.principal;
    let chosen = header_account(&call.headers)?;
    let account = resolve(principal, chosen).ok();
    ok(&json!({
        "key_id": &*principal.key_id,
        "account_id": account,
        "chooses_account": principal.account.is_none(),
        "scopes": principal.scopes.names(),
    }))
}

/// Whether a key is this administrator's to see: all are, to one who belongs to no account.
fn concerns(principal: &Principal, row: &KeyRow) -> bool {
    principal.account.as_ref().is_none_or(|account| account.as_str() == row.account)
}

pub(super) async fn list(call: Call) -> Answer {
    let page = Page::<String>::read(&call.query)?.or_default();
    let mut rows = call.app.keys.rows();
    rows.retain(|row| concerns(&call.principal, row));
    let mut page = page.of(rows, |row| &row.id);
    let data: Vec<Value> = page.data.drain(..).map(|row| document(&row)).collect();
    ok(&page.with(data))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    scopes: Vec<String>,
    /// None, from an administrator of the server: a key of scope `admin` that belongs to no account.
    #[serde(default)]
    account_id: Option<AccountId>,
    #[serde(default)]
    label: String,
    #[serde(default)]
    expires_at: Option<u64>,
}

pub(super) async fn create(call: Call) -> Answer {
    let body: Body = call.json()?;
    let scopes = scopes(&body.scopes)?;
    if !scopes.within(call.principal.scopes) {
        return Err(Problem::invalid("scopes", "a key hands on no more than it holds"));
    }
    if body.label.chars().count() > LABEL_CHARS_MAX {
        return Err(Problem::invalid("label", format!("at most {LABEL_CHARS_MAX} characters")));
    }
    let account = match (&call.principal.account, body.account_id) {
        (None, None) if scopes == Scopes::ADMIN => None,
        (None, None) => {
            let detail = "a key belongs to an account, unless its only scope is admin";
            return Err(Problem::invalid("account_id", detail));
        }
        (_, named) => Some(resolve(&call.principal, named)?),
    };
    let app = &call.app;
    if app.keys.len() >= KEYS_MAX {
        return Err(Problem::overloaded(format!("there are {KEYS_MAX} keys; delete some")));
    }
    let minted = NewKey::mint(account.as_ref(), scopes, body.label, app.now(), body.expires_at)
        .map_err(|error| Problem::internal(error.to_string()))?;
    app.engine.put_key(minted.row.clone()).await?;
    app.keys.add(&minted.row);
    let mut answer = document(&minted.row);
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("key".into(), minted.secret.into());
    }
    json(StatusCode::CREATED, &answer)
}

pub(super) async fn remove(call: Call) -> Answer {
    let id: String = call.id("key_id")?;
    let known = call.app.keys.row(&id).is_some_and(|row| concerns(&call.principal, &row));
    if !known {
        let hint = if id == DEV_KEY_ID {
            "the development key ends with the server"
        } else {
            "GET /v1/keys lists them"
        };
        return Err(Problem::not_found("unknown_key", "there is no such key").hint(hint));
    }
    call.app.engine.drop_key(&id).await?;
    call.app.keys.remove(&id);
    ok(&json!({ "id": id, "changed": true }))
}

fn scopes(words: &[String]) -> Result<Scopes, Problem> {
    if words.is_empty() {
        return Err(Problem::invalid("scopes", "name at least one"));
    }
    let names = Scope::ALL.map(Scope::as_str);
    let read = |(place, word): (usize, &String)| {
        Scope::parse(word).ok_or_else(|| {
            let detail = format!("{word:?} is no scope; there are: {}", names.join(", "));
            Problem::invalid(format!("scopes[{place}]"), detail).did_you_mean(nearest(word, names))
        })
    };
    words.iter().enumerate().map(read).collect::<Result<Vec<Scope>, Problem>>().map(Scopes::of)
}

fn document(row: &KeyRow) -> Value {
    json!({
        "id": row.id,
        "account_id": Some(row.account.as_str()).filter(|account| !account.is_empty()),
        "scopes": Scopes::read(&row.scopes).names(),
        "label": row.label,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
    })
}
