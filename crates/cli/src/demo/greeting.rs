//! What a newcomer reads: where the board is, and three lines to try.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output;

#[derive(Debug)]
pub struct Greeting {
    pub server: String,
    pub key: String,
    pub accounts: Vec<String>,
}

impl Greeting {
    /// In the fragment, so that no server and no log sees the key.
    fn board(&self, account: &str) -> String {
        format!("{}/wallboard#key={}&account={account}", self.server, self.key)
    }

    fn curls(&self, account: &str) -> [(&'static str, String); 3] {
        let Self { server, key, .. } = self;
        let bearer = format!("-H 'authorization: Bearer {key}'");
        let json = "-H 'content-type: application/json'";
        [
            (
                "agent 1001 comes to work (sip.io's own call)",
                format!(
                    "curl -X POST {server}/agent {bearer} {json} -d '{{\"accountId\":\"{account}\",\"userId\":1001,\
                     \"event\":\"available\",\"queues\":[{{\"queueId\":\"sales\",\"level\":1}}]}}'"
                ),
            ),
            (
                "a call wants the next agent of sales",
                format!(
                    "curl -X POST {server}/v1/queues/sales/reserve {bearer} -H 'x-account-id: {account}' {json} \
                     -d '{{\"call_id\":\"my-call-1\"}}'"
                ),
            ),
            (
                "everybody, as they are",
                format!("curl {server}/v1/presence {bearer} -H 'x-account-id: {account}'"),
            ),
        ]
    }

    pub fn print(&self) -> Result<(), Failure> {
        let Some(account) = self.accounts.first() else { return Ok(()) };
        output::line(&format!("listening on {}", self.server))?;
        output::line("")?;
        output::line(&format!("  board  {}", self.board(account)))?;
        for other in &self.accounts[1..] {
            output::line(&format!("         {}", self.board(other)))?;
        }
        output::line(&format!("  key    {}", self.key))?;
        output::line("")?;
        for (what, curl) in self.curls(account) {
            output::line(&format!("  # {what}"))?;
            output::line(&format!("  {curl}"))?;
        }
        output::line("")
    }

    pub fn json(&self) -> Value {
        let boards: Vec<Value> = self
            .accounts
            .iter()
            .map(|account| json!({"account": account, "board": self.board(account)}))
            .collect();
        json!({"server": self.server, "key": self.key, "accounts": boards})
    }
}
