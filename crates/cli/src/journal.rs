//! `ringfence journal`: what is written in a data directory nobody has open.

use ringfence_store::journal::{self, Entry, Fault, Harm, Report};
use ringfence_store::{Lost, Past, Record, Span};
use serde_json::{Value, json};

use crate::args::{JournalArgs, JournalCommand, JournalDumpArgs, JournalHistoryArgs, JournalVerifyArgs};
use crate::failure::Failure;
use crate::output::{self, Format};

pub fn run(args: JournalArgs) -> Result<(), Failure> {
    match args.command {
        JournalCommand::Dump(args) => dump(&args),
        JournalCommand::History(args) => history(&args),
        JournalCommand::Verify(args) => verify(&args),
    }
}

fn dump(args: &JournalDumpArgs) -> Result<(), Failure> {
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut outcome = Ok(());
    if left == 0 {
        return Ok(());
    }
    let mut take = |entry: Entry| {
        left -= 1;
        outcome = output::json(&shown(entry));
        outcome.is_ok() && left > 0
    };
    journal::dump(&args.data, args.account.as_deref(), &mut take).map_err(Failure::of)?;
    outcome
}

fn shown(entry: Entry) -> Value {
    match entry {
        Entry::Record { batch, account, record } => {
            let mut line = shown_record(&account, &record);
            line["batch"] = batch.into();
            line
        }
        Entry::Damaged(damage) => json!({"damaged": damage.what, "place": damage.place}),
    }
}

fn shown_record(account: &str, record: &Record) -> Value {
    let mut line = json!({
        "account": account, "term": record.term, "seq": record.seq, "prev_seq": record.prev_seq, "at": record.at,
        "bytes": record.bytes.len(),
    });
    match ringfence::read_record(&record.bytes) {
        Ok(read) => {
            line["by"] = json!(read.by);
            line["facts"] = json!(read.facts);
        }
        Err(why) => line["unreadable"] = why.to_string().into(),
    }
    line
}

fn history(args: &JournalHistoryArgs) -> Result<(), Failure> {
    let span = Span {
        first_seq: args.from.unwrap_or(Span::ALL.first_seq),
        last_seq: args.to.unwrap_or(Span::ALL.last_seq),
        first_at: args.since.map_or(Span::ALL.first_at, |since| since.first_ms),
        last_at: args.until.map_or(Span::ALL.last_at, |until| until.last_ms),
    };
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut outcome = Ok(());
    if left == 0 {
        return Ok(());
    }
    let mut take = |account: &str, past: Past| {
        left -= 1;
        outcome = output::json(&match past {
            Past::Record(record) => shown_record(account, &record),
            Past::Gap { after, before } => {
                json!({"account": account, "gap": {"after": after, "before": before}})
            }
            Past::Damaged(damage) => {
                json!({"account": account, "damaged": damage.what, "place": damage.place})
            }
        });
        outcome.is_ok() && left > 0
    };
    journal::history(&args.data, args.account.as_deref(), span, &mut take).map_err(Failure::of)?;
    outcome
}

fn verify(args: &JournalVerifyArgs) -> Result<(), Failure> {
    let report = journal::verify(&args.data).map_err(Failure::of)?;
    match args.format {
        Format::Json => output::json(&as_json(&report))?,
        Format::Table => as_text(&report).iter().try_for_each(|text| output::line(text))?,
    }
    if report.is_sound() {
        return Ok(());
    }
    let faults = report.faults.len() + report.structure.len();
    Err(Failure::Failed(format!(
        "{faults} faults in {}; copy the directory aside first",
        args.data.display()
    )))
}

fn as_json(report: &Report) -> Value {
    let fault = |fault: &Fault| json!({"what": fault.damage.what, "place": fault.damage.place, "harm": harm(&fault.harm)});
    json!({
        "sound": report.is_sound(), "batches": report.batches, "records": report.records,
        "accounts": report.accounts, "snapshots": report.snapshots, "pages": report.pages,
        "keys": report.keys, "structure": report.structure,
        "history": report.history.as_ref().map(|history| json!({
            "records": history.records, "states": history.states,
            "lost": history.lost.iter().map(lost).collect::<Vec<_>>(),
        })),
        "faults": report.faults.iter().map(fault).collect::<Vec<_>>(),
    })
}

fn lost(lost: &Lost) -> Value {
    json!({
        "first_batch": lost.first, "last_batch": lost.last, "after_at": lost.after_at, "before_at": lost.before_at,
        "why": lost.why,
    })
}

fn as_text(report: &Report) -> Vec<String> {
    let Report { batches, records, accounts, snapshots, pages, keys, faults, structure, history } = report;
    let mut lines = vec![format!(
        "{records} records of {accounts} accounts in {batches} batches, {snapshots} snapshots of {pages} pages, {keys} keys"
    )];
    if let Some(history) = history {
        lines.push(format!("history: {} records, {} full states", history.records, history.states));
        let told = |Lost { first, last, why, .. }: &Lost| {
            format!("history: batches {first} to {last} are missing: {why}")
        };
        lines.extend(history.lost.iter().map(told));
    }
    lines.extend(structure.iter().map(|text| format!("structure: {text}")));
    lines.extend(faults.iter().map(|fault| format!("{}: {}", harm(&fault.harm), fault.damage)));
    if report.is_sound() {
        lines.push("sound".to_owned());
    }
    lines
}

fn harm(harm: &Harm) -> String {
    match harm {
        Harm::Nobody => "nobody".to_owned(),
        Harm::Account(account) => format!("account {account}"),
        Harm::Strangers => "accounts unknown".to_owned(),
        Harm::Key(id) => format!("key {id}"),
        Harm::History => "the past".to_owned(),
    }
}
