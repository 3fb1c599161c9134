//! Physical floors: what the actor runtime and the disk cost before anything of ours is done.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

const CYCLES: usize = 100_000;
const SYNCS: usize = 2_000;
/// A journal record's size.
const RECORD: [u8; 140] = [7; 140];

struct Bare;

enum Ask {
    Add(u64, RpcReplyPort<u64>),
}

impl Actor for Bare {
    type Msg = Ask;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Ask>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<Ask>,
        Ask::Add(by, reply): Ask,
        sum: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        *sum += by;
        reply.send(*sum)?;
        Ok(())
    }
}

/// Microseconds per three calls, one after the other, of `callers` at once.
pub async fn three_calls(callers: usize) -> Result<f64, crate::Failure> {
    let (actor, handle) = Actor::spawn(None, Bare, ()).await?;
    let start = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..callers {
        let actor = actor.clone();
        tasks.push(tokio::spawn(async move {
            for _ in 0..CYCLES / callers {
                for _ in 0..3 {
                    ractor::call!(actor, |reply| Ask::Add(1, reply)).map_err(|error| error.to_string())?;
                }
            }
            Ok::<(), String>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let us = start.elapsed().as_secs_f64() * 1e6 / (CYCLES / callers * callers) as f64;
    actor.stop(None);
    handle.await?;
    Ok(us)
}

/// Microseconds per append and fdatasync.
pub fn append_and_sync(dir: &Path) -> std::io::Result<f64> {
    let path = dir.join("floor");
    let mut file = std::fs::File::create(&path)?;
    let start = Instant::now();
    for _ in 0..SYNCS {
        file.write_all(&RECORD)?;
        file.sync_data()?;
    }
    let us = start.elapsed().as_secs_f64() * 1e6 / SYNCS as f64;
    std::fs::remove_file(&path)?;
    Ok(us)
}
