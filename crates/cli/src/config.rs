//! The configuration of `serve`: flags win, then the environment, then a TOML file with the same names.

use std::fs;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use ringfence::{Durability, HistoryLimits};
use ringfence_core::AccountId;
use ringfence_server::{KamailioSource, Limits, ServerConfig, nearest};
use serde::Deserialize;
use toml::de::DeTable;

use crate::args::{DurabilityArg, LISTEN_DEFAULT, ServeArgs};
use crate::failure::Failure;

/// Keys of the file, the flags of `serve` with `_` for `-`, and the table of limits, which have no flags.
const KEYS: [&str; 11] = [
    "listen",
    "data",
    "durability",
    "history_days",
    "history_mib",
    "dev",
    "dev_key",
    "kamailio",
    "origin",
    "heartbeat_ms",
    LIMITS,
];

const LIMITS: &str = "limits";
const LIMIT_KEYS: [&str; 2] = ["stall_ms", "read_wait_ms"];

const HEARTBEAT_MS: RangeInclusive<u64> = 1_000..=60_000;
/// Below a second a client on a poor line would be cut off; beyond an hour nobody ever is.
const STALL_MS: RangeInclusive<u64> = 1_000..=3_600_000;
const READ_WAIT_MS: RangeInclusive<u64> = 0..=60_000;
const HEARTBEAT_MS_DEFAULT: u64 = 5_000;

/// The id under which a server knows its development key.
const DEVELOPMENT_KEY_ID: &str = "key_dev";

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub listen: SocketAddr,
    pub data: Option<PathBuf>,
    pub durability: DurabilityArg,
    /// `None` keeps no history.
    pub history: Option<HistoryLimits>,
    pub dev: bool,
    pub dev_key: Option<String>,
    pub kamailio: Vec<Kamailio>,
    pub origin: Vec<String>,
    pub heartbeat_ms: u64,
    pub limits: Limits,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kamailio {
    account: AccountId,
    url: String,
    /// Id of the key it posts its events with.
    key_id: String,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<SocketAddr>,
    data: Option<PathBuf>,
    durability: Option<DurabilityArg>,
    history_days: Option<u32>,
    history_mib: Option<u64>,
    dev: Option<bool>,
    dev_key: Option<String>,
    kamailio: Option<Vec<String>>,
    origin: Option<Vec<String>>,
    heartbeat_ms: Option<u64>,
    limits: Option<FileLimits>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLimits {
    stall_ms: Option<u64>,
    read_wait_ms: Option<u64>,
}

impl FileLimits {
    fn limits(&self) -> Result<Limits, Failure> {
        let limits = Limits::default();
        Ok(Limits {
            stall_ms: within("limits.stall_ms", self.stall_ms.unwrap_or(limits.stall_ms), STALL_MS)?,
            read_wait_ms: within(
                "limits.read_wait_ms",
                self.read_wait_ms.unwrap_or(limits.read_wait_ms),
                READ_WAIT_MS,
            )?,
            ..limits
        })
    }
}

fn within(name: &str, value: u64, range: RangeInclusive<u64>) -> Result<u64, Failure> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(Failure::Usage(format!("{name} is {value}; it is {} to {}", range.start(), range.end())))
}

impl Config {
    /// What the arguments say, completed from the file they name.
    pub fn read(args: ServeArgs) -> Result<Self, Failure> {
        let file = match &args.config {
            Some(path) => {
                let text = fs::read_to_string(path)
                    .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))?;
                File::parse(path, &text)?
            }
            None => File::default(),
        };
        Self::merged(args, file)
    }

    fn merged(args: ServeArgs, file: File) -> Result<Self, Failure> {
        let list = |said: Vec<String>, written: Option<Vec<String>>| {
            if said.is_empty() { written.unwrap_or_default() } else { said }
        };
        let data = args.data.or(file.data);
        let durability = args.durability.or(file.durability).unwrap_or(DurabilityArg::Sync);
        if data.is_none() && durability != DurabilityArg::Memory {
            return Err(Failure::Usage(
                "there is no data directory; give `--data DIR`, or `--durability memory` to keep nothing"
                    .to_owned(),
            ));
        }
        let heartbeat_ms = args.heartbeat_ms.or(file.heartbeat_ms).unwrap_or(HEARTBEAT_MS_DEFAULT);
        let heartbeat_ms = within("heartbeat_ms", heartbeat_ms, HEARTBEAT_MS)?;
        let kamailio = list(args.kamailio, file.kamailio);
        Ok(Self {
            listen: args.listen.or(file.listen).unwrap_or(LISTEN_DEFAULT),
            data,
            durability,
            history: history(args.history_days.or(file.history_days), args.history_mib.or(file.history_mib)),
            dev: args.dev.or(file.dev).unwrap_or(false),
            dev_key: args.dev_key.or(file.dev_key),
            kamailio: kamailio.iter().map(|text| Kamailio::parse(text)).collect::<Result<_, _>>()?,
            origin: list(args.origin, file.origin),
            heartbeat_ms,
            limits: file.limits.unwrap_or_default().limits()?,
        })
    }

    /// How the engine is to be opened.
    pub fn engine(&self) -> ringfence::Options {
        ringfence::Options {
            data: self.data.clone(),
            durability: match self.durability {
                DurabilityArg::Sync => Durability::Sync,
                DurabilityArg::Os => Durability::Os,
                DurabilityArg::Memory => Durability::Memory,
            },
            create_on_first_use: self.dev,
            history: self.history,
            ..ringfence::Options::memory()
        }
    }

    pub fn server(&self) -> ServerConfig {
        let kamailio = self.kamailio.iter().map(|it| KamailioSource {
            account: it.account.clone(),
            endpoint: it.key_id.clone(),
            url: it.url.clone(),
        });
        ServerConfig {
            dev: self.dev,
            dev_key: self.dev_key.clone(),
            origins: self.origin.clone(),
            heartbeat_ms: self.heartbeat_ms,
            limits: self.limits.clone(),
            kamailio: kamailio.collect(),
            ..ServerConfig::new(self.listen)
        }
    }
}

/// No days, or no room, is no history.
fn history(days: Option<u32>, mib: Option<u64>) -> Option<HistoryLimits> {
    let usual = HistoryLimits::default();
    let bytes = mib.map_or(usual.bytes, |mib| mib.saturating_mul(1 << 20));
    Some(HistoryLimits { days: days.unwrap_or(usual.days), bytes })
        .filter(|limits| limits.days > 0 && bytes > 0)
}

impl Kamailio {
    /// Reads `account=URL`, or `account=URL#key_id`.
    fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::Usage(format!(
                "kamailio {text:?}: {why}; it looks like acme=http://127.0.0.1:5060#key_1f2e"
            ))
        };
        let (account, url) = text.split_once('=').ok_or_else(|| wrong("there is no `=`"))?;
        let account = AccountId::parse(account).map_err(|error| wrong(&error.to_string()))?;
        let (url, key_id) = url.split_once('#').unwrap_or((url, DEVELOPMENT_KEY_ID));
        if !url.starts_with("http://") {
            return Err(wrong("its JSON-RPC is reached over http"));
        }
        if key_id.trim().is_empty() {
            return Err(wrong("after the `#` stands the id of the key it posts its events with"));
        }
        Ok(Self { account, url: url.to_owned(), key_id: key_id.to_owned() })
    }
}

impl File {
    fn parse(path: &Path, text: &str) -> Result<Self, Failure> {
        let at = |offset: Option<usize>, what: &str| {
            let line = offset.map_or(1, |offset| 1 + text[..offset.min(text.len())].matches('\n').count());
            Failure::Usage(format!("{}:{line}: {what}", path.display()))
        };
        let wrong = |error: &toml::de::Error| at(error.span().map(|span| span.start), error.message());
        let table = DeTable::parse(text).map_err(|error| wrong(&error))?;
        let limits = table.get_ref().get(LIMITS).and_then(|limits| limits.get_ref().as_table());
        let in_limits = || limits.and_then(|limits| unknown(limits, &LIMIT_KEYS));
        if let Some((offset, what)) = unknown(table.get_ref(), &KEYS).or_else(in_limits) {
            return Err(at(Some(offset), &what));
        }
        toml::from_str(text).map_err(|error| wrong(&error))
    }
}

/// The first key of the table that is none, where it stands, and what to do about it.
fn unknown(table: &DeTable<'_>, known: &[&'static str]) -> Option<(usize, String)> {
    let key = table.keys().find(|key| !known.contains(&key.get_ref().as_ref()))?;
    let hint = match nearest(key.get_ref(), known.iter().copied()) {
        Some(known) => format!("did you mean `{known}`?"),
        None => format!("the keys are {}", known.join(", ")),
    };
    Some((key.span().start, format!("there is no setting `{}`; {hint}", key.get_ref())))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Config, DurabilityArg, File, ServeArgs};
    use crate::failure::Failure;

    fn refused(text: &str) -> String {
        match File::parse(Path::new("r.toml"), text) {
            Err(Failure::Usage(why)) => why,
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file = "listen = \"127.0.0.1:1\"\ndata = \"d\"\ndurability = \"os\"\norigin = [\"https://a\"]\n";
        let file = File::parse(Path::new("r.toml"), file).unwrap();
        let args = ServeArgs { listen: "127.0.0.1:2".parse().ok(), ..ServeArgs::default() };
        let config = Config::merged(args, file).unwrap();
        assert_eq!(config.listen.port(), 2);
        assert_eq!((config.data, config.durability), (Some(PathBuf::from("d")), DurabilityArg::Os));
        assert_eq!((config.origin, config.heartbeat_ms), (vec!["https://a".to_owned()], 5_000));
    }

    #[test]
    fn a_history_of_no_days_is_none() {
        let history = |text: &str, args: ServeArgs| {
            let file = File::parse(Path::new("r.toml"), &format!("data = \"d\"\n{text}")).unwrap();
            Config::merged(args, file).unwrap().engine().history.map(|limits| (limits.days, limits.bytes))
        };
        assert_eq!(history("", ServeArgs::default()), Some((30, 4 << 30)));
        assert_eq!(
            history("history_days = 7\nhistory_mib = 100", ServeArgs::default()),
            Some((7, 100 << 20))
        );
        let args = ServeArgs { history_days: Some(0), ..ServeArgs::default() };
        assert_eq!(history("history_days = 7", args), None);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_what_was_meant() {
        assert_eq!(
            refused("\nlisen = \"a\"\n"),
            "r.toml:2: there is no setting `lisen`; did you mean `listen`?"
        );
        assert!(
            refused("colour = 1")
                .starts_with("r.toml:1: there is no setting `colour`; the keys are listen, ")
        );
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_line() {
        assert!(refused("dev = true\nlisten = \"nowhere\"\n").starts_with("r.toml:2: "));
        assert!(refused("durability = \"maybe\"").starts_with("r.toml:1: "));
        assert!(refused("a = = 1").starts_with("r.toml:1: "));
    }

    #[test]
    fn what_is_pulled_counts_as_what_is_posted_with_the_key() {
        let args = ServeArgs {
            durability: Some(DurabilityArg::Memory),
            kamailio: vec!["acme=http://127.0.0.1:5060#key_7".to_owned(), "other=http://h".to_owned()],
            ..ServeArgs::default()
        };
        let server = Config::merged(args, File::default()).unwrap().server();
        let sources: Vec<_> =
            server.kamailio.iter().map(|it| (it.account.as_str(), &*it.endpoint, &*it.url)).collect();
        assert_eq!(sources, [("acme", "key_7", "http://127.0.0.1:5060"), ("other", "key_dev", "http://h")]);
    }

    #[test]
    fn limits_have_a_table_of_their_own() {
        let merged = |text: &str| {
            let file = File::parse(Path::new("r.toml"), text).unwrap();
            Config::merged(ServeArgs { data: Some(PathBuf::from("d")), ..ServeArgs::default() }, file)
        };
        let limits = merged("[limits]\nstall_ms = 30000\n").unwrap().server().limits;
        assert_eq!((limits.stall_ms, limits.read_wait_ms), (30_000, 2_000));
        assert_eq!(merged("").unwrap().server().limits.stall_ms, 15_000);
        match merged("[limits]\nstall_ms = 10\n") {
            Err(Failure::Usage(why)) => assert_eq!(why, "limits.stall_ms is 10; it is 1000 to 3600000"),
            other => panic!("{other:?}"),
        }
        assert_eq!(
            refused("[limits]\nstal_ms = 1\n"),
            "r.toml:2: there is no setting `stal_ms`; did you mean `stall_ms`?"
        );
    }

    #[test]
    fn without_a_directory_nothing_can_be_durable() {
        let merged =
            |durability| Config::merged(ServeArgs { durability, ..ServeArgs::default() }, File::default());
        assert!(matches!(merged(None), Err(Failure::Usage(_))));
        assert!(merged(Some(DurabilityArg::Memory)).is_ok());
    }

    #[test]
    fn a_kamailio_is_an_account_a_url_and_maybe_a_key() {
        let kamailio = |text: &str| super::Kamailio::parse(text);
        let parsed = kamailio("acme=http://127.0.0.1:5060#key_7").unwrap();
        assert_eq!((parsed.url.as_str(), parsed.key_id.as_str()), ("http://127.0.0.1:5060", "key_7"));
        assert_eq!(kamailio("acme=http://h/RPC").unwrap().key_id, "key_dev");
        assert!(kamailio("acme=http://h#").is_err());
        assert!(kamailio("http://h/RPC").is_err());
        assert!(kamailio("acme=ftp://h").is_err());
    }
}
