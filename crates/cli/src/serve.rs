//! `ringfence serve`: a server until somebody stops it.

use ringfence::Engine;
use ringfence_server::{Bound, Server, ServerConfig};

use crate::args::ServeArgs;
use crate::config::Config;
use crate::failure::Failure;
use crate::output;
use crate::signals::Signals;

pub async fn run(args: ServeArgs) -> Result<(), Failure> {
    let config = Config::read(args)?;
    // Before the port is open: whoever sees it open may already send a signal.
    let signals = Signals::listen()?;
    let engine = Engine::open(config.engine()).await.map_err(Failure::of)?;
    let served = serve(&engine, config.server(), signals).await;
    let stopped = engine.shutdown().await;
    served.and(stopped.map_err(|error| Failure::Failed(format!("the engine did not stop cleanly: {error}"))))
}

async fn serve(engine: &Engine, config: ServerConfig, mut signals: Signals) -> Result<(), Failure> {
    let told = config.dev_key.is_some();
    let bound = Server::bind(engine.clone(), config).map_err(Failure::of)?;
    ready(&bound, told)?;
    let stop = async move {
        signals.stop().await;
        output::say("draining; a second signal ends at once");
        signals.end_at_the_next();
    };
    bound.run(stop).await.map_err(Failure::of)
}

/// The one line on stdout; a key that was minted is talk, and is said nowhere else.
fn ready(bound: &Bound, told: bool) -> Result<(), Failure> {
    if let Some(key) = bound.dev_key().filter(|_| !told) {
        output::say(&format!("development key: {key}"));
    }
    output::line(&format!("listening on http://{}", bound.addr()))
}
