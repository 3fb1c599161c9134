//! A server elsewhere, as the command line names it.

use ringfence_client::{Api, Credential, ServerUrl};
use ringfence_core::AccountId;

use crate::args::RemoteArgs;
use crate::failure::Failure;

impl RemoteArgs {
    pub fn server_url(&self) -> Result<ServerUrl, Failure> {
        self.server.parse().map_err(|error| Failure::Usage(format!("--server: {error}")))
    }

    pub fn account_id(&self) -> Result<Option<AccountId>, Failure> {
        let parse = |text: &String| {
            AccountId::parse(text).map_err(|error| Failure::Usage(format!("--account: {error}")))
        };
        self.account.as_ref().map(parse).transpose()
    }

    pub fn api(&self) -> Result<Api, Failure> {
        let key = self.api_key.as_deref().ok_or_else(|| {
            Failure::Usage("there is no key; give `--key KEY` or set RINGFENCE_KEY".to_owned())
        })?;
        let credential = Credential::new(key);
        let credential = match self.account_id()? {
            Some(account) => credential.for_account(account),
            None => credential,
        };
        Ok(Api::new(self.server_url()?, credential))
    }
}
