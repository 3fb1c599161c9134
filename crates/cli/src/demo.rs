//! `ringfence demo`: a server, and a contact centre that is made up but behaves like one. It says and hears everything
//! through the public API and the stream, as anybody else would have to.

mod greeting;
mod names;
mod pace;
mod plan;
mod random;

mod floor;
mod ledger;
mod tally;
mod watch;

mod agent;
mod call;
mod callers;
mod direct;
mod doubt;
mod external;
mod line;
mod phones;

mod centre;
mod check;
mod status;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use ringfence::{Durability, Engine, Options};
use ringfence_client::{Api, Credential, ServerUrl};
use ringfence_server::{Bound, Server, ServerConfig};
use tokio::sync::oneshot;

use crate::args::DemoArgs;
use crate::demo::centre::Centre;
use crate::demo::greeting::Greeting;
use crate::failure::Failure;
use crate::output;
use crate::signals::Signals;

/// A lease that ran out here is over at once: the demo's registrar and its engine share one clock.
const FEED_MARGIN_MS: u64 = 300;

pub async fn run(args: DemoArgs) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let options = match &args.data {
        Some(dir) => Options::durable(dir, Durability::Sync),
        None => Options::memory(),
    };
    let options = Options { create_on_first_use: true, feed_margin_ms: FEED_MARGIN_MS, ..options };
    let engine = Engine::open(options).await.map_err(Failure::of)?;
    let ran = serve(&engine, &args, signals).await;
    let stopped = engine.shutdown().await.map_err(Failure::of);
    ran.and(stopped)
}

async fn serve(engine: &Engine, args: &DemoArgs, signals: Signals) -> Result<(), Failure> {
    let config = ServerConfig { dev: true, ..ServerConfig::new(free(args.listen)?) };
    let bound = Server::bind(engine.clone(), config).map_err(Failure::of)?;
    let api = api(&bound)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(bound.run(async {
        // Dropped without a word, it means the same.
        drop(stopped.await);
    }));
    let ran = simulate(api, args, signals).await;
    drop(stop);
    let served = serving.await.map_err(Failure::of)?.map_err(Failure::of);
    ran.and(served)
}

fn api(bound: &Bound) -> Result<Api, Failure> {
    let key = bound.dev_key().ok_or_else(|| Failure::Failed("the server minted no key".to_owned()))?;
    Ok(Api::new(ServerUrl::from(bound.addr()), Credential::new(key)))
}

/// The address, or a free port of it with a word about why.
fn free(listen: SocketAddr) -> Result<SocketAddr, Failure> {
    match TcpListener::bind(listen) {
        Ok(_) => Ok(listen),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            output::say(&format!("{listen} is taken; listening on a free port instead"));
            Ok(SocketAddr::new(listen.ip(), 0))
        }
        Err(error) => Err(Failure::Failed(format!("cannot listen on {listen}: {error}"))),
    }
}

async fn simulate(api: Api, args: &DemoArgs, mut signals: Signals) -> Result<(), Failure> {
    let mut centre = Centre::open(&api, args.seed, args.speed).await?;
    greet(&api, args, &centre)?;
    let length = args.check.or(args.duration).map(Duration::from_secs);
    let over = async {
        match length {
            Some(length) => tokio::time::sleep(length).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        failure = centre.failed() => Err(failure),
        () = over => Ok(()),
        () = signals.stop() => Ok(()),
    };
    centre.close().await;
    ended?;
    if args.check.is_some() {
        let summary = centre.check().await?;
        output::json(&summary)?;
        if !summary.ok {
            return Err(Failure::Check(format!("the check failed: {}", summary.why.join("; "))));
        }
    }
    match centre.double_offers() {
        0 => Ok(()),
        many => Err(Failure::Check(format!("{many} agents were offered two calls at once"))),
    }
}

fn greet(api: &Api, args: &DemoArgs, centre: &Centre) -> Result<(), Failure> {
    let greeting = Greeting {
        server: api.server().to_string(),
        key: api.credential().key().to_owned(),
        accounts: centre.accounts(),
    };
    match (args.check, args.json) {
        // Then stdout is for the summary alone.
        (Some(_), _) => {
            output::say(&format!("listening on {}", greeting.server));
            Ok(())
        }
        (None, true) => output::json(&greeting.json()),
        (None, false) => greeting.print(),
    }
}
