//! The reach figures of the engine against the physical floor, in one run: each round measures floor and engine one
//! after the other, and what counts is the ratio.
//!
//! `cargo bench -p ringfence-benches --bench reach [-- --rounds N --dir DIR]`

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "reach/core.rs"]
mod core;
#[path = "reach/floor.rs"]
mod floor;
#[path = "reach/load.rs"]
mod load;
#[path = "reach/recovery.rs"]
mod recovery;

use std::path::PathBuf;

/// Callers at once in memory.
const CALLERS: usize = 64;
/// Rounds of which the median is quoted.
const ROUNDS: usize = 5;

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Args {
    rounds: usize,
    dir: PathBuf,
    /// core, memory, durable or recovery; all when left out.
    only: Option<String>,
}

impl Args {
    fn wants(&self, what: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == what)
    }
}

fn args() -> Args {
    let mut args = Args {
        rounds: ROUNDS,
        dir: std::env::temp_dir().join(format!("ringfence-reach-{}", std::process::id())),
        only: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rounds" => args.rounds = words.next().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS),
            "--only" => args.only = words.next(),
            "--dir" => args.dir = words.next().map_or(args.dir, PathBuf::from),
            _ => {}
        }
    }
    args
}

/// Middle, least and most of some figures.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

fn spread(mut figures: Vec<f64>) -> Spread {
    figures.sort_by(f64::total_cmp);
    Spread { median: figures[figures.len() / 2], least: figures[0], most: figures[figures.len() - 1] }
}

fn print(name: &str, ours: Vec<f64>, floor: Vec<f64>, unit: &str, reach: f64) {
    let ratios = ours.iter().zip(&floor).map(|(ours, floor)| ours / floor).collect();
    let (ours, floor, ratio) = (spread(ours), spread(floor), spread(ratios));
    println!(
        "{name}\n  ours  {:>9.2} {unit} ({:.2} .. {:.2})\n  floor {:>9.2} {unit} ({:.2} .. {:.2})\n  ratio {:>9.2} ({:.2} .. {:.2}), reach {reach}: {}",
        ours.median,
        ours.least,
        ours.most,
        floor.median,
        floor.least,
        floor.most,
        ratio.median,
        ratio.least,
        ratio.most,
        if ratio.median <= reach { "met" } else { "missed" }
    );
}

fn main() -> Result<(), Failure> {
    let args = args();
    std::fs::create_dir_all(&args.dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if args.wants("core") {
        let figures: Result<Vec<f64>, Failure> = (0..args.rounds).map(|_| core::cycles()).collect();
        let all = spread(figures?);
        println!(
            "reserve + answer + end, decisions alone\n  ours  {:>9.2} us ({:.2} .. {:.2})",
            all.median, all.least, all.most
        );
    }
    if args.wants("memory") {
        memory(&args, &runtime)?;
    }
    if args.wants("durable") {
        durable(&args, &runtime)?;
    }
    if args.wants("recovery") {
        recovery(&args, &runtime)?;
    }
    std::fs::remove_dir_all(&args.dir)?;
    Ok(())
}

fn memory(args: &Args, runtime: &tokio::runtime::Runtime) -> Result<(), Failure> {
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        floor.push(runtime.block_on(floor::three_calls(CALLERS))?);
        ours.push(runtime.block_on(load::cycles_in_memory(CALLERS))?);
    }
    let name = "reserve + answer + end, memory, 64 callers, per cycle (floor: three bare ractor calls)";
    print(name, ours, floor, "us", 2.5);
    Ok(())
}

fn durable(args: &Args, runtime: &tokio::runtime::Runtime) -> Result<(), Failure> {
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        floor.push(floor::append_and_sync(&args.dir)?);
        ours.push(runtime.block_on(load::durable_single_caller(&args.dir.join(format!("durable-{round}"))))?);
    }
    print("one durable operation, 1 caller (floor: write + fdatasync of 140 bytes)", ours, floor, "us", 2.5);
    Ok(())
}

fn recovery(args: &Args, runtime: &tokio::runtime::Runtime) -> Result<(), Failure> {
    let mut figures = Vec::new();
    for round in 0..args.rounds.min(3) {
        figures.push(recovery::load(runtime, &args.dir.join(format!("recovery-{round}")))?);
    }
    let all = spread(figures);
    println!(
        "recovery of 100,000 agents in one account, open to first reserve\n  ours  {:>9.2} s ({:.2} .. {:.2}), reach 1: {}",
        all.median,
        all.least,
        all.most,
        if all.median <= 1.0 { "met" } else { "missed" }
    );
    Ok(())
}
