//! What can be said on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::output::Format;

/// Where a server listens when nobody says otherwise: this machine alone.
pub const LISTEN_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7800);

/// Real-time presence for contact centres: who can take this call right now?
#[derive(Debug, Parser)]
#[command(name = "ringfence", version, propagate_version = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a server
    Serve(ServeArgs),
    /// Run a server with a simulated contact centre, and print how to look at it
    Demo(DemoArgs),
    /// Make, list and revoke API keys
    Key(KeyArgs),
    /// Print a view of the stream, one JSON object per line
    Stream(StreamArgs),
    /// Check this machine, and a server if one answers
    Doctor(DoctorArgs),
    /// Look into the journal of a data directory nobody has open
    Journal(JournalArgs),
}

impl Command {
    /// What is logged unless the environment says otherwise.
    pub fn talks_at(&self) -> &'static str {
        match self {
            Self::Serve(_) => "info",
            Self::Demo(_) | Self::Key(_) | Self::Stream(_) | Self::Doctor(_) | Self::Journal(_) => "warn",
        }
    }
}

/// Flags win, then the environment, then the file; unset here means: ask the next.
#[derive(Debug, Default, clap::Args)]
pub struct ServeArgs {
    /// TOML file with the same names as these flags, `heartbeat_ms` for `--heartbeat-ms`
    #[arg(long, env = "RINGFENCE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address to listen at [default: 127.0.0.1:7800]
    #[arg(long, env = "RINGFENCE_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Directory of the journal; made if it is missing
    #[arg(long, env = "RINGFENCE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// What an answer survives: power loss, a killed process, or nothing [default: sync]
    #[arg(long, env = "RINGFENCE_DURABILITY", value_enum)]
    pub durability: Option<DurabilityArg>,
    /// Days of which records stay readable in history.db; 0 keeps none [default: 30]
    #[arg(long, env = "RINGFENCE_HISTORY_DAYS", value_name = "DAYS")]
    pub history_days: Option<u32>,
    /// Size of history.db at which the oldest goes [default: 4096]
    #[arg(long, env = "RINGFENCE_HISTORY_MIB", value_name = "MIB")]
    pub history_mib: Option<u64>,
    /// Development: unknown accounts and agents come to be at their first use, and there is a development key
    #[arg(
        long,
        env = "RINGFENCE_DEV",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    pub dev: Option<bool>,
    /// The development key to accept; else one is minted and printed
    #[arg(long, env = "RINGFENCE_DEV_KEY", hide_env_values = true, value_name = "KEY")]
    pub dev_key: Option<String>,
    /// A Kamailio whose bindings are read by JSON-RPC now and then; after a `#` the id of the key it posts with
    #[arg(long, env = "RINGFENCE_KAMAILIO", value_delimiter = ',', value_name = "ACCOUNT=URL[#KEY_ID]")]
    pub kamailio: Vec<String>,
    /// An origin browsers may connect from, beside the server's own
    #[arg(long, env = "RINGFENCE_ORIGIN", value_delimiter = ',', value_name = "URL")]
    pub origin: Vec<String>,
    /// Heartbeat interval of streams that ask for none [default: 5000]
    #[arg(long, env = "RINGFENCE_HEARTBEAT_MS", value_name = "MS")]
    pub heartbeat_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DurabilityArg {
    Sync,
    Os,
    Memory,
}

#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Address to listen at; if it is taken, a free port of the same address
    #[arg(long, env = "RINGFENCE_LISTEN", default_value_t = LISTEN_DEFAULT, value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Keep the journal in this directory; else everything is in memory
    #[arg(long, env = "RINGFENCE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The same seed makes the same choices
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// How many times faster than life, 0.1 to 50
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR", value_parser = speed)]
    pub speed: f64,
    /// Stop by itself after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub duration: Option<u64>,
    /// Run so many seconds, compare what everybody saw, print the findings as JSON; exit code 4 if anything is wrong
    #[arg(long, value_name = "SECONDS", conflicts_with = "duration")]
    pub check: Option<u64>,
    /// Print address, key and board as one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if (0.1..=50.0).contains(&speed) => Ok(speed),
        Ok(_) | Err(_) => Err("a number from 0.1 to 50".to_owned()),
    }
}

/// A server elsewhere.
#[derive(Debug, Clone, clap::Args)]
pub struct RemoteArgs {
    /// The server
    #[arg(long, env = "RINGFENCE_SERVER", default_value = "http://127.0.0.1:7800", value_name = "URL")]
    pub server: String,
    /// API key
    #[arg(long = "key", env = "RINGFENCE_KEY", hide_env_values = true, value_name = "KEY")]
    pub api_key: Option<String>,
    /// Account, for keys that may choose
    #[arg(long, env = "RINGFENCE_ACCOUNT", value_name = "ID")]
    pub account: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    pub command: KeyCommand,
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key; its secret is printed this once
    Create(KeyCreateArgs),
    /// List keys, never their secrets
    List(KeyListArgs),
    /// Make a key useless, at once
    Revoke(KeyRevokeArgs),
}

#[derive(Debug, clap::Args)]
pub struct KeyCreateArgs {
    #[command(flatten)]
    pub place: KeyPlace,
    /// What it may do, such as `router,presence:read`; `admin` may do everything
    #[arg(long, value_delimiter = ',', required = true, value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// What it is for
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub label: String,
    /// Days until it expires; else never
    #[arg(long, value_name = "N")]
    pub expires_days: Option<u32>,
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

#[derive(Debug, clap::Args)]
pub struct KeyListArgs {
    #[command(flatten)]
    pub place: KeyPlace,
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

#[derive(Debug, clap::Args)]
pub struct KeyRevokeArgs {
    #[command(flatten)]
    pub place: KeyPlace,
    /// The key's id, `key_…`
    pub id: String,
}

/// Where keys are: in the data directory of a server that is not running, or at one that is.
#[derive(Debug, Clone, clap::Args)]
pub struct KeyPlace {
    /// Data directory of a server that is not running; else the server is asked
    #[arg(long, env = "RINGFENCE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub remote: RemoteArgs,
}

#[derive(Debug, clap::Args)]
pub struct StreamArgs {
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// What to watch: account, queue:ID, tag:ID, agent:ID; with `;full` or `;anonymous` after it
    #[arg(long, default_value = "account", value_name = "VIEW")]
    pub view: String,
    /// At most one delta in so many ms: 0, 100, 250, 1000
    #[arg(long, default_value_t = 250, value_name = "MS")]
    pub class: u32,
    /// Print the first whole state and stop
    #[arg(long)]
    pub once: bool,
}

#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Address a server is to listen at
    #[arg(long, env = "RINGFENCE_LISTEN", default_value_t = LISTEN_DEFAULT, value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Data directory a server is to use
    #[arg(long, env = "RINGFENCE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

#[derive(Debug, clap::Args)]
pub struct JournalArgs {
    #[command(subcommand)]
    pub command: JournalCommand,
}

#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Print every record, one JSON object per line
    Dump(JournalDumpArgs),
    /// Print what is known of the past, from history.db and then the journal, one JSON object per line
    History(JournalHistoryArgs),
    /// Check everything against its checksums and against each other
    Verify(JournalVerifyArgs),
}

#[derive(Debug, clap::Args)]
pub struct JournalDumpArgs {
    #[arg(long, env = "RINGFENCE_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// Only this account's records
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,
    /// Stop after so many
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub struct JournalHistoryArgs {
    #[arg(long, env = "RINGFENCE_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// Only this account's past
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,
    /// Not before this seq
    #[arg(long, value_name = "SEQ")]
    pub from: Option<u64>,
    /// Not after this seq
    #[arg(long, value_name = "SEQ")]
    pub to: Option<u64>,
    /// Not before this time: milliseconds since the epoch, or a UTC day as 2026-05-01
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Moment>,
    /// Not after this time; of a day its end
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Moment>,
    /// Stop after so many lines
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

/// A time that was said, as the milliseconds since the epoch that it begins and ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub first_ms: u64,
    pub last_ms: u64,
}

fn moment(text: &str) -> Result<Moment, String> {
    let wrong = || "milliseconds since the epoch, or a UTC day as 2026-05-01".to_owned();
    if let Ok(ms) = text.parse() {
        return Ok(Moment { first_ms: ms, last_ms: ms });
    }
    let mut parts = text.split('-').map(str::parse::<u64>);
    let (Some(Ok(year)), Some(Ok(month)), Some(Ok(day)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong());
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(leap),
        1..=12 => 31,
        _ => 0,
    };
    if !(1970..=9999).contains(&year) || !(1..=length).contains(&day) {
        return Err(wrong());
    }
    // Years that begin in March have their leap day last: 153 days in each five of their months.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    // Since the first of March of the year 0; the epoch is 719468 of them later.
    let first_ms = days.checked_sub(719_468).ok_or_else(wrong)? * 86_400_000;
    Ok(Moment { first_ms, last_ms: first_ms + 86_399_999 })
}

#[derive(Debug, clap::Args)]
pub struct JournalVerifyArgs {
    #[arg(long, env = "RINGFENCE_DATA", value_name = "DIR")]
    pub data: PathBuf,
    #[arg(short = 'o', long = "output", value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Args, moment};

    #[test]
    fn a_moment_is_a_number_or_a_day() {
        let days = |text: &str| moment(text).map(|moment| moment.first_ms / 86_400_000);
        assert_eq!(days("1970-01-01"), Ok(0));
        assert_eq!(days("2000-02-29"), Ok(11_016));
        assert_eq!(days("2000-03-01"), Ok(11_017));
        assert_eq!(days("2026-05-01"), Ok(20_574));
        assert_eq!(moment("1970-01-02").map(|moment| moment.last_ms), Ok(172_799_999));
        assert_eq!(moment("12345").map(|moment| (moment.first_ms, moment.last_ms)), Ok((12_345, 12_345)));
        for text in ["", "soon", "2026-13-01", "2026-05", "2026-05-01-1", "2025-02-29", "1969-12-31", "-5"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
