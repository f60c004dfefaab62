//! Docker's networks that are zubi's: a real dockerd with the daemon as its plug-in.

use crate::plugin::{host_with_plugin, log};
use zubi_lab::{Docker, Host, Outside, Snapshot, assert_reaches};

const SLEEP: &str = "busybox sleep 1000";
const CREATE: &str = "network create -d zubi --ipam-driver zubi";

/// The address of a container on a network.
fn address(docker: &Docker, container: &str, network: &str) -> String {
    let template = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
    let mut command = docker.command("inspect -f");
    let output = command.args([template.as_str(), container]).output().expect("docker inspect");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[track_caller]
fn pings(docker: &Docker, container: &str, address: &str) {
    docker.ok(&format!("exec {container} ping -c 1 -W 5 {address}"));
}

/// Fails the test, with the daemon's log, if anything is out of order.
#[track_caller]
fn check(host: &Host) {
    let found = host.zubi("check");
    assert_eq!(found.code, 0, "{}{}\n{}", found.out, found.err, log());
}

fn containers_of_docker_reach_each_other_the_outside_and_a_plain_process() {
    let test = "containers_of_docker_reach_each_other_the_outside_and_a_plain_process";
    let Some((host, _daemon, docker)) = host_with_plugin(test) else { return };
    let _outside = Outside::new();
    let before = Snapshot::take();
    docker.ok(&format!("{CREATE} --subnet 10.90.0.0/24 mesh"));
    docker.ok(&format!("run -d --name web --network mesh -p 8080:80 {SLEEP}"));
    docker.ok(&format!("run -d --name db --network mesh {SLEEP}"));
    let (web, db) = (address(&docker, "web", "mesh"), address(&docker, "db", "mesh"));
    assert_eq!((web.as_str(), db.as_str()), ("10.90.0.2", "10.90.0.3"));
    pings(&docker, "web", &db);
    pings(&docker, "web", "10.90.0.1");
    pings(&docker, "web", Outside::V4);
    check(&host);
    docker.ok("rm -f web db");
    docker.ok("network rm mesh");
    host.settle();
    before.assert_no_residue(&Snapshot::take());
    check(&host);
}

zubi_lab::root_tests!(containers_of_docker_reach_each_other_the_outside_and_a_plain_process);
