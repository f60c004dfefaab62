//! `zubi info` and `zubi version`.

use crate::output::Output;
use serde_json::json;
use zubi_engine::{Coexistence, Config, Error, Forwarding};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version, as `--version` prints it.
pub(crate) fn version(output: &Output) -> Result<(), Error> {
    output.listed(&[format!("zubi {VERSION}")], &json!({ "version": VERSION }))
}

/// What decides how zubi behaves on this host. It reads no records, so it also works where they cannot be read.
pub(crate) fn info(config: &Config, output: &Output) -> Result<(), Error> {
    // Absent where /proc is: then it says so.
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_else(|_| "unknown".into());
    let kernel = kernel.trim();
    let coexistence = config.coexistence == Coexistence::On;
    let forwarding = if config.forwarding == Forwarding::Open { "open" } else { "closed" };
    let lab = std::env::var_os("ZUBI_LAB").is_some();
    let switch = if coexistence {
        "on: networks get rules in the tables of other programs that drop their packets"
    } else {
        "off: zubi changes no table but its own"
    };
    let lines = [
        format!("version      {VERSION}"),
        format!("kernel       {kernel}"),
        format!("networks     {}", config.dirs.state.display()),
        format!("records      {}", config.dirs.run.display()),
        "settings     ZUBI_CONFIG, else /etc/zubi/config.json".to_owned(),
        format!("coexistence  {switch}"),
        format!("forwarding   {forwarding}"),
        format!("lab          {}", if lab { "yes" } else { "no" }),
    ];
    let json = json!({
        "version": VERSION,
        "kernel": kernel,
        "state_dir": config.dirs.state.display().to_string(),
        "run_dir": config.dirs.run.display().to_string(),
        "coexistence": coexistence,
        "forwarding": forwarding,
        "lab": lab,
    });
    output.listed(&lines, &json)
}
