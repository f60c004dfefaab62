//! The floors of the project: which of our crates may depend on which.

use crate::metadata::{Follow, Metadata, Package};

/// Each crate with its floor. A crate may use crates of its own floor and below.
const FLOORS: [(&str, u8); 23] = [
    ("zubi", 5),
    ("zubi-cli", 4),
    ("zubi-doors", 4),
    ("zubi-cni", 4),
    ("zubi-netavark", 4),
    ("zubi-pipework", 4),
    ("zubi-docker", 4),
    ("zubi-daemon", 4),
    ("zubi-engine", 3),
    ("zubi-kernel", 2),
    ("zubi-store", 2),
    ("zubi-runtimes", 2),
    ("zubi-snapshot", 1),
    ("zubi-plan", 1),
    ("zubi-ipam", 1),
    ("zubi-dhcp", 1),
    ("zubi-names", 1),
    ("zubi-ovsdb", 1),
    ("zubi-wire", 1),
    ("zubi-model", 0),
    ("zubi-lab", DEVELOPMENT),
    ("zubi-bench", DEVELOPMENT),
    ("xtask", DEVELOPMENT),
];
/// The floor of crates that are not part of the program.
const DEVELOPMENT: u8 = u8::MAX;
/// The engine's floor and those below serve short commands: no async runtime, no servers, no parser of command lines.
const BLOCKING_UP_TO: u8 = 3;
/// The same holds for these crates above: runtimes wait for them with every container.
const ALSO_BLOCKING: [&str; 4] = ["zubi-doors", "zubi-cni", "zubi-netavark", "zubi-pipework"];
const NOT_IN_BLOCKING: [&str; 5] = ["tokio", "hyper", "clap", "tracing-subscriber", "env_logger"];
/// Pure crates get values as input; these dependencies would let them ask the kernel.
const PURE: [&str; 12] = [
    "zubi-model",
    "zubi-snapshot",
    "zubi-wire",
    "zubi-ipam",
    "zubi-dhcp",
    "zubi-names",
    "zubi-ovsdb",
    "zubi-plan",
    "zubi-cni",
    "zubi-netavark",
    "zubi-pipework",
    "zubi-docker",
];
const NOT_IN_PURE: [&str; 3] = ["libc", "rustix", "nix"];

/// Every dependency against the order of floors.
pub(crate) fn violations(metadata: &Metadata) -> Vec<String> {
    let mut found = Vec::new();
    for package in metadata.ours() {
        let Some(floor) = floor(&package.name) else {
            found.push(format!("{}: has no floor; add it to the table in xtask/src/layers.rs", package.name));
            continue;
        };
        let direct = metadata.direct(&package.id, Follow::Normal);
        for dependency in metadata.packages.iter().filter(|one| direct.contains(&one.id.as_str())) {
            found.extend(direct_violation(package, floor, dependency));
        }
        if floor <= BLOCKING_UP_TO || ALSO_BLOCKING.contains(&package.name.as_str()) {
            for (reached, way) in metadata.reached(std::iter::once(package), Follow::Normal) {
                if NOT_IN_BLOCKING.contains(&reached.name.as_str()) {
                    found.push(format!("{}: must not contain {}: {way}", package.name, reached.name));
                }
            }
        }
    }
    found
}

fn direct_violation(package: &Package, floor: u8, dependency: &Package) -> Option<String> {
    let (from, to) = (&package.name, &dependency.name);
    if PURE.contains(&from.as_str()) && NOT_IN_PURE.contains(&to.as_str()) {
        return Some(format!("{from}: is pure and must not ask the kernel: {from} -> {to}"));
    }
    let below = self::floor(to)?;
    (below > floor).then(|| format!("{from}: must not know a higher floor: {from} -> {to}"))
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, floor)| *floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace of `members`, with `edges` of (from, to, kind).
    fn house(members: &[&str], edges: &[(&str, &str, Option<&str>)]) -> Metadata {
        let names: std::collections::BTreeSet<&str> =
            members.iter().copied().chain(edges.iter().flat_map(|edge| [edge.0, edge.1])).collect();
        let packages: Vec<_> = names
            .iter()
            .map(|name| serde_json::json!({"id": name, "name": name, "version": "1.0.0", "license": "MIT"}))
            .collect();
        let nodes: Vec<_> = names
            .iter()
            .map(|name| {
                let deps: Vec<_> = edges
                    .iter()
                    .filter(|edge| edge.0 == *name)
                    .map(|edge| serde_json::json!({"pkg": edge.1, "dep_kinds": [{"kind": edge.2}]}))
                    .collect();
                serde_json::json!({"id": name, "deps": deps})
            })
            .collect();
        serde_json::from_value(serde_json::json!({
            "packages": packages, "workspace_members": members, "target_directory": "/t", "workspace_root": "", "resolve": {"nodes": nodes},
        }))
        .unwrap()
    }

    #[test]
    fn a_lower_floor_must_not_know_a_higher() {
        let house = house(&["zubi-model", "zubi-plan"], &[("zubi-model", "zubi-plan", None)]);
        assert_eq!(violations(&house), ["zubi-model: must not know a higher floor: zubi-model -> zubi-plan"]);
    }

    #[test]
    fn what_is_used_by_tests_alone_may_come_from_anywhere() {
        let house = house(
            &["zubi-kernel", "zubi-lab"],
            &[("zubi-kernel", "zubi-lab", Some("dev")), ("zubi-lab", "zubi-kernel", None)],
        );
        assert_eq!(violations(&house), [""; 0]);
    }

    #[test]
    fn the_engine_must_not_contain_tokio_however_deep() {
        let house = house(&["zubi-engine"], &[("zubi-engine", "handy", None), ("handy", "tokio", None)]);
        assert_eq!(violations(&house), ["zubi-engine: must not contain tokio: zubi-engine -> handy -> tokio"]);
    }

    #[test]
    fn a_pure_crate_must_not_use_libc_itself() {
        let house = house(&["zubi-wire"], &[("zubi-wire", "libc", None)]);
        assert_eq!(violations(&house).len(), 1);
    }

    #[test]
    fn a_crate_without_a_floor_is_told() {
        assert_eq!(violations(&house(&["zubi-attic"], &[])).len(), 1);
    }
}
