//! Hosts with a network `blue`, from which many tests start.

use zubi_lab::{Host, Outside};

pub const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
/// A subnet of each family.
pub const BOTH: &str = "--subnet 10.55.66.0/24 --subnet fd00:55::/64";

/// A host with `blue`, which has both families.
pub fn blue() -> Host {
    blue_with(BOTH)
}

/// A host with `blue`, created with these options.
pub fn blue_with(options: &str) -> Host {
    let host = Host::new(ZUBI);
    host.network(&format!("blue {options}"));
    host
}

/// A host with an outside and `blue`, on which c1 publishes these ports.
pub fn publishing(ports: &str) -> (Host, Outside) {
    let (host, outside) = (Host::new(ZUBI), Outside::new());
    publish_on(&host, BOTH, ports);
    (host, outside)
}

/// Creates `blue` with these options and puts c1 and c2 on it; c1 publishes these ports, separated by spaces.
pub fn publish_on(host: &Host, options: &str, ports: &str) {
    host.network(&format!("blue {options}"));
    host.zubi("sandbox add c1").ok();
    let ports: Vec<String> = ports.split_whitespace().map(|port| format!("-p {port}")).collect();
    host.zubi(&format!("connect blue c1 {}", ports.join(" "))).ok();
    host.container("c2", "blue");
}
