//! The parts of the daemon.

use crate::changes::Watch;
use crate::context::Context;
use crate::error::Error;
use crate::words::Words;
use crate::{docker, follow, heal, leases, names};
use tokio::task::JoinSet;

/// Starts all parts. Each ends by itself when the context says so.
pub(crate) fn start(context: &Context, words: &Words) -> Result<JoinSet<()>, Error> {
    let watch = Watch::new(&context.engine().watchable_folders()?)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(follow::run(context.clone(), watch.changes()));
    tasks.spawn(heal::run(context.clone(), watch.changes()));
    tasks.spawn(leases::run(context.clone(), watch.changes()));
    tasks.spawn(names::run(context.clone(), watch.changes()));
    tasks.spawn(watch.run(context.clone()));
    docker::start(&mut tasks, context, &words.docker_socket);
    Ok(tasks)
}
