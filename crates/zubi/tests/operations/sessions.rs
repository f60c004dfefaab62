//! One engine in one process that stays: a thousand sessions one after another, and sessions of several threads at once.

use crate::resident::engine;
use std::fs;
use std::thread;
use zubi_engine::{Act, Engine, Worker};
use zubi_lab::Host;
use zubi_model::{NetworkName, SandboxRef, Wishes};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const THREADS: usize = 6;
const ROUNDS: usize = 40;
/// How many idle sockets of each of two kinds the kernel crate keeps (`kernel/src/machine.rs`).
const MOST_IDLE: usize = 16;

fn blue() -> NetworkName {
    "blue".parse().expect("a name")
}

/// Connects a sandbox with a published port and disconnects it, each in a session of its own.
fn connect_and_disconnect(engine: &Engine, sandbox: &str, port: usize) {
    let sandbox: SandboxRef = sandbox.parse().expect("a sandbox");
    let wishes = Wishes { ports: vec![format!("{port}:80").parse().expect("a port")], ..Wishes::default() };
    let mut session = engine.session().expect("a session");
    session.attach(&blue(), &sandbox, &wishes, Act::Apply).expect("connect");
    session.finish().expect("finish");
    let mut session = engine.session().expect("a session");
    session.detach(&blue(), &sandbox, Act::Apply).expect("disconnect");
    session.finish().expect("finish");
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("descriptors").count()
}

fn nothing_is_left(host: &Host, worker: &Worker) {
    let failed = worker.settle();
    assert!(failed.is_empty(), "{failed:?}");
    host.zubi("check").ok();
    assert_eq!(host.zubi("ls --json").ok().json(), serde_json::json!([]));
    assert_eq!(host.zubi("gc").ok().out, "nothing to remove\n");
}

fn a_thousand_sessions_of_one_engine_leave_no_descriptor_open() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("sandbox add c1").ok();
    let (engine, worker) = engine();
    connect_and_disconnect(&engine, "c1", 8080);
    assert!(worker.settle().is_empty());
    let before = descriptors();
    for _ in 0..500 {
        connect_and_disconnect(&engine, "c1", 8080);
    }
    nothing_is_left(&host, &worker);
    // Sessions that the worker has not come to yet hold their sockets, which stay idle behind them.
    let most = before + 2 * MOST_IDLE;
    assert!(descriptors() <= most, "{} descriptors, at most {most} expected", descriptors());
}

fn threads_with_sessions_of_their_own_do_not_disturb_each_other() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    for n in 0..THREADS {
        host.zubi(&format!("sandbox add c{n}")).ok();
    }
    let (engine, worker) = engine();
    thread::scope(|scope| {
        for n in 0..THREADS {
            let engine = engine.clone();
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    connect_and_disconnect(&engine, &format!("c{n}"), 8080 + n);
                }
            });
        }
        // Commands of other processes meanwhile.
        for _ in 0..10 {
            host.zubi("check").ok();
            host.zubi("gc").ok();
        }
    });
    nothing_is_left(&host, &worker);
}

zubi_lab::tests!(
    a_thousand_sessions_of_one_engine_leave_no_descriptor_open,
    threads_with_sessions_of_their_own_do_not_disturb_each_other
);
