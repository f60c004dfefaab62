//! The parts of the daemon.

use crate::changes::Watch;
use crate::context::Context;
use crate::error::Error;
use crate::words::Words;
use crate::{docker, follow, heal, leases, metrics, names};
use tokio::task::JoinSet;

/// Where Docker looks for plug-ins.
const DOCKER_SOCKET: &str = "/run/docker/plugins/zubi.sock";

/// Starts all parts. Each ends by itself when the context says so.
pub(crate) fn start(context: &Context, words: &Words) -> Result<JoinSet<()>, Error> {
    let watch = Watch::new(&context.engine().watchable_folders()?)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(follow::run(context.clone(), watch.changes()));
    tasks.spawn(heal::run(context.clone(), watch.changes()));
    tasks.spawn(leases::run(context.clone(), watch.changes()));
    tasks.spawn(metrics::run(context.clone()));
    tasks.spawn(names::run(context.clone(), watch.changes()));
    tasks.spawn(watch.run(context.clone()));
    let set = context.engine().config().docker_plugin.clone();
    let docker_socket = words.docker_socket.clone().or(set).unwrap_or_else(|| DOCKER_SOCKET.into());
    docker::start(&mut tasks, context, &docker_socket);
    Ok(tasks)
}
