//! `ringfence doctor`: what a server would run into on this machine, and how one that answers is doing.

mod finding;
mod host;
mod server;

use serde_json::json;

use crate::args::DoctorArgs;
use crate::doctor::finding::{Finding, State};
use crate::failure::Failure;
use crate::output::{self, Rows};

pub async fn run(args: DoctorArgs) -> Result<(), Failure> {
    let answer = server::ask(&args.remote).await?;
    let mut findings =
        vec![host::file_limit(), host::clock(), host::sqlite(), host::port(args.listen, answer.is_some())];
    findings.push(host::data(args.data.as_deref()));
    findings.extend(server::findings(answer.as_ref(), args.remote.api_key.is_some()));

    let row = |finding: &Finding| [json!(finding.what), json!(finding.state.as_str()), json!(finding.detail)];
    let rows =
        Rows { headings: ["check", "state", "detail"], rows: findings.iter().map(row).collect::<Vec<_>>() };
    output::rows(args.format, &rows)?;
    match findings.iter().filter(|finding| finding.state == State::Bad).count() {
        0 => Ok(()),
        bad => Err(Failure::Failed(format!("{bad} of {} checks failed", findings.len()))),
    }
}
