//! `ringfence key`: API keys, at a running server or in the data directory of one that is not running.

use ringfence_server::{nearest, scope_names};
use serde_json::{Value, json};

use crate::args::{KeyArgs, KeyCommand, KeyCreateArgs, KeyListArgs, KeyPlace, KeyRevokeArgs};
use crate::failure::Failure;
use crate::key_offline::{self, Made};
use crate::output::{self, Format, Rows};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

pub async fn run(args: KeyArgs) -> Result<(), Failure> {
    match args.command {
        KeyCommand::Create(args) => create(args).await,
        KeyCommand::List(args) => list(args).await,
        KeyCommand::Revoke(args) => revoke(args).await,
    }
}

async fn create(args: KeyCreateArgs) -> Result<(), Failure> {
    for scope in &args.scopes {
        known(scope)?;
    }
    let account = args.place.remote.account_id()?;
    if account.is_none() && args.scopes != ["admin"] {
        let why = "a key belongs to an account, unless its only scope is admin; give `--account ID`";
        return Err(Failure::Usage(why.to_owned()));
    }
    let now = key_offline::now_ms();
    let expires_at = args.expires_days.map(|days| now + u64::from(days) * DAY_MS);
    let made = match offline(&args.place) {
        Some(dir) => {
            let (scopes, label) = (args.scopes.join(" "), args.label);
            let account = account.map(|account| account.to_string()).unwrap_or_default();
            blocking(move || key_offline::create(&dir, Made { account, scopes, label, now, expires_at }))
                .await?
        }
        None => {
            let mut fields = json!({"scopes": args.scopes, "label": args.label});
            if let Some(account) = account {
                fields["account_id"] = account.as_str().into();
            }
            if let Some(at) = expires_at {
                fields["expires_at"] = at.into();
            }
            args.place.remote.api()?.make_key(&fields).await.map_err(Failure::of)?
        }
    };
    match args.format {
        Format::Json => output::json(&made),
        Format::Table => {
            let text = |name: &str| made.get(name).and_then(Value::as_str).unwrap_or_default();
            output::say(&format!("made {}; its secret is shown this once:", text("id")));
            output::line(text("key"))
        }
    }
}

async fn list(args: KeyListArgs) -> Result<(), Failure> {
    let keys = match offline(&args.place) {
        Some(dir) => blocking(move || key_offline::list(&dir)).await?,
        None => args.place.remote.api()?.keys().await.map_err(Failure::of)?,
    };
    let headings = ["id", "account_id", "scopes", "label", "created_at", "expires_at"];
    let row = |key: &Value| headings.map(|name| cell(key, name));
    output::rows(args.format, &Rows { headings, rows: keys.iter().map(row).collect() })
}

async fn revoke(args: KeyRevokeArgs) -> Result<(), Failure> {
    let id = args.id.clone();
    match offline(&args.place) {
        Some(dir) => blocking(move || key_offline::revoke(&dir, &id)).await?,
        None => args.place.remote.api()?.drop_key(&id).await.map_err(Failure::of)?,
    }
    output::say(&format!("revoked {}", args.id));
    Ok(())
}

/// A directory is meant only where no key says that a server is.
fn offline(place: &KeyPlace) -> Option<std::path::PathBuf> {
    place.data.clone().filter(|_| place.remote.api_key.is_none())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(Failure::of)?
}

fn known(scope: &str) -> Result<(), Failure> {
    // One a server does not know would permit nothing.
    if scope_names().any(|known| known == scope) {
        return Ok(());
    }
    let hint = match nearest(scope, scope_names()) {
        Some(known) => format!("did you mean `{known}`?"),
        None => format!("the scopes are {}", scope_names().collect::<Vec<_>>().join(", ")),
    };
    Err(Failure::Usage(format!("there is no scope `{scope}`; {hint}")))
}

/// Scopes are a list at a server and words in a directory; shown as words.
fn cell(key: &Value, name: &str) -> Value {
    match key.get(name) {
        Some(Value::Array(words)) => {
            words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ").into()
        }
        Some(value) => value.clone(),
        None => Value::Null,
    }
}
