//! The `ringfence` command: thin. It reads what it is told, and calls the server, the client or the store.
//!
//! stdout is data, stderr is talk. Exit codes: 0 done (also after a SIGTERM and draining), 2 bad usage or configuration,
//! 4 a check of the demo failed, 1 anything else.

mod args;
mod config;
mod failure;
mod output;

mod signals;
mod talk;

mod serve;

mod demo;

mod key;
mod key_offline;
mod remote;
mod stream;

mod doctor;
mod journal;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = talk::start(args.command.talks_at()).and_then(|()| run(args.command));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(async {
        match command {
            Command::Serve(args) => serve::run(args).await,
            Command::Demo(args) => demo::run(args).await,
            Command::Key(args) => key::run(args).await,
            Command::Stream(args) => stream::run(args).await,
            Command::Doctor(args) => doctor::run(args).await,
            Command::Journal(args) => journal::run(args),
        }
    })
}
