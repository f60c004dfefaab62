//! An engine in the process of the test, with the folders of the test's host.

use std::sync::Arc;
use zubi_engine::{Config, Engine, LostRecords, Worker};

pub fn engine() -> (Engine, Arc<Worker>) {
    let lookup = |name: &str| match name {
        "ZUBI_STATE_DIR" => Some("/run/zubi-state".to_owned()),
        "ZUBI_RUN_DIR" => Some("/run/zubi".to_owned()),
        "DOCKER_HOST" | "ZUBI_CONFIG" => Some(String::new()),
        _ => None,
    };
    let config = Config::read(&lookup, None, None).expect("settings");
    let engine = Engine::open(config, LostRecords::Refuse).expect("an engine");
    engine.resident().expect("a worker")
}
