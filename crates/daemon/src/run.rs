//! The daemon from its start to its end.

use crate::capabilities::keep_needed;
use crate::context::Context;
use crate::control::Control;
use crate::descriptors;
use crate::error::Error;
use crate::parts;
use crate::signals::{Sign, Signals};
use crate::status::Board;
use crate::words::Words;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use zubi_engine::{Config, DaemonLock, Engine, LostRecords};

/// So many calls of the engine run at once. Each waits for the kernel or for a lock most of the time.
const CALLS: usize = 8;
/// So long the parts have to end.
const GRACE: Duration = Duration::from_secs(2);

/// Runs the daemon until a signal ends it.
pub(crate) fn run(words: &Words) -> Result<(), Error> {
    // Before the first thread: the others have what it has.
    keep_needed()?;
    descriptors::raise_limit()?;
    let (engine, worker) = open(words)?.resident()?;
    let _lock = take_over(&engine)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(CALLS)
        .build()
        .map_err(Error::system("runtime", "start"))?;
    runtime.block_on(serve(words, engine))?;
    runtime.shutdown_timeout(GRACE);
    for error in worker.settle() {
        tracing::warn!("{error}");
    }
    Ok(())
}

/// Makes this process the daemon. One that was killed a moment ago may still be on its way out.
fn take_over(engine: &Engine) -> Result<DaemonLock, Error> {
    let since = Instant::now();
    loop {
        match engine.become_daemon()? {
            Some(lock) => return Ok(lock),
            None if since.elapsed() > GRACE => return Err(Error::Second(engine.run_folder())),
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn open(words: &Words) -> Result<Engine, Error> {
    let config = Config::read(&|name| std::env::var(name).ok(), words.state_dir.clone(), words.run_dir.clone())?;
    // No person reads the error and decides.
    Ok(Engine::open(config, LostRecords::Rebuild)?)
}

async fn serve(words: &Words, engine: Engine) -> Result<(), Error> {
    let mut signals = Signals::new()?;
    let control = Control::open(&engine.run_folder())?;
    let (end, ends) = watch::channel(false);
    let context = Context::new(engine, Board::new(), ends);
    let mut tasks = parts::start(&context, words)?;
    tasks.spawn(control.serve(context.clone()));
    // Without systemd there is nobody to tell.
    sd_notify::notify(&[sd_notify::NotifyState::Ready]).ok();
    tracing::info!("the daemon runs");
    loop {
        match signals.next().await {
            Sign::End => break,
            Sign::Reload => match open(words).and_then(|engine| Ok(engine.resident()?.0)) {
                Ok(engine) => {
                    context.replace_engine(engine);
                    tracing::info!("the settings are read again");
                }
                Err(e) => tracing::error!("the settings from before stay: {e}"),
            },
        }
    }
    sd_notify::notify(&[sd_notify::NotifyState::Stopping]).ok();
    end.send(true).ok();
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::warn!("a part did not end in time");
    }
    Ok(())
}
