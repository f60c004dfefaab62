//! Containers of several runtimes and a plain process on one network, each of them restarted while the daemon runs.

use std::time::{Duration, Instant};
use zubi_lab::{Containerd, Docker, Host, Podman, ZubiDaemon, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const DAEMON: &str = env!("CARGO_BIN_EXE_zubi-daemon");
const SLEEP: &str = "busybox sleep 1000";

/// The daemon brings a sandbox back within a second; a busy machine takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

fn missing() -> Option<&'static str> {
    let dig = std::process::Command::new("dig").arg("-v").output().is_err().then_some("bind9-dnsutils");
    Docker::missing().or_else(Podman::missing).or_else(Containerd::missing).or(dig)
}

/// The sandboxes that are up, with their first addresses.
fn up(host: &Host) -> Vec<(String, String)> {
    let all = host.zubi("--json ls").ok().json();
    let of = |endpoint: &serde_json::Value| {
        let address = endpoint["addresses"][0].as_str()?.split('/').next()?.to_owned();
        Some((endpoint["sandbox"].as_str()?.to_owned(), address))
    };
    let up = |endpoint: &&serde_json::Value| endpoint["state"] == "up";
    all.as_array().expect("a list").iter().filter(up).filter_map(of).collect()
}

/// Waits until these are up.
#[track_caller]
fn comes_to(host: &Host, wanted: &[(String, String)]) {
    let since = Instant::now();
    while up(host) != wanted {
        assert!(since.elapsed() < PATIENCE, "{:?} is not {wanted:?}\n{}", up(host), ZubiDaemon::log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Everybody reaches everybody.
#[track_caller]
fn all_reach_all(host: &Host, all: &[(String, String)]) {
    for (from, _) in all {
        for (to, address) in all {
            let ping = host.zubi(&format!("sandbox exec {from} ping -c 1 -W 5 {address}"));
            assert_eq!(ping.code, 0, "{from} does not reach {to}: {}{}", ping.out, ping.err);
        }
    }
}

/// Everybody finds everybody by name, from the moment on at which all are up.
#[track_caller]
fn all_find_all(host: &Host, all: &[(String, String)]) {
    for (from, _) in all {
        for (to, address) in all {
            let name = to.split_once(':').map_or(to.as_str(), |(_, name)| name);
            let asked = format!("sandbox exec {from} dig +short +tries=1 +time=5 {name} @10.55.66.1");
            let answer = host.zubi(&asked);
            assert_eq!(answer.out.trim(), address, "{from} asks for {name}: {}", answer.err);
        }
    }
}

fn containers_of_three_runtimes_and_a_namespace_come_back_to_one_network() {
    let test = "containers_of_three_runtimes_and_a_namespace_come_back_to_one_network";
    if let Some(package) = missing() {
        return skip(test, &format!("needs the package {package}"));
    }
    let containerd = Containerd::start().unwrap_or_else(|why| panic!("{why}"));
    let docker = Docker::start().unwrap_or_else(|why| panic!("{why}"));
    docker.import_busybox().unwrap_or_else(|why| panic!("{why}"));
    let podman = Podman::new();
    podman.import_busybox();
    let host = Host::new(ZUBI).with_env("DOCKER_HOST", "").with_env("CONTAINER_HOST", "");
    let host = host.with_env(Podman::CONF_VARIABLE, Podman::CONF);
    host.network("blue --subnet 10.55.66.0/24");
    let _daemon = ZubiDaemon::start(&host, DAEMON);

    docker.ok(&format!("run -d --network none --name web {SLEEP}"));
    podman.ok(&format!("run -d --network none --name db localhost/{SLEEP}"));
    containerd.run("task1");
    host.shell("ip netns add c1").ok();
    host.zubi("connect blue c1 --follow").ok();
    for container in ["containerd:task1", "docker:web -p 8080:80", "podman:db"] {
        host.zubi(&format!("connect blue {container}")).ok();
    }
    let all = up(&host);
    assert_eq!(all.len(), 4, "{all:?}");
    all_reach_all(&host, &all);
    all_find_all(&host, &all);

    for _ in 0..2 {
        docker.ok("restart -t 0 web");
        podman.ok("restart -t 0 db");
        containerd.remove("task1");
        containerd.run("task1");
        host.shell("ip netns del c1 && ip netns add c1").ok();
        comes_to(&host, &all);
        all_reach_all(&host, &all);
        all_find_all(&host, &all);
        host.zubi("check").ok();
    }

    // Who is stopped keeps what is its own, and nothing of it answers.
    docker.ok("stop -t 0 web");
    let others: Vec<_> = all.iter().filter(|(sandbox, _)| sandbox != "docker:web").cloned().collect();
    comes_to(&host, &others);
    host.wait_for(&format!("{ZUBI} ls | grep 'docker:web.*stopped'"));
    docker.ok("start web");
    comes_to(&host, &all);
    // A container that was removed is forgotten, one that is made anew under its name is not.
    docker.ok("rm -f web");
    docker.ok(&format!("run -d --network none --name web {SLEEP}"));
    comes_to(&host, &all);
    docker.ok("rm -f web");
    host.wait_for(&format!("{ZUBI} ls | grep 'docker:web.*stopped'"));
    let removed = host.zubi("gc").ok().out;
    assert!(removed.contains("docker:web on network blue (the container was deleted)"), "{removed}");
    comes_to(&host, &others);
    host.zubi("check").ok();
}

fn a_daemon_hears_docker_again_that_was_not_there() {
    let test = "a_daemon_hears_docker_again_that_was_not_there";
    if let Some(package) = Docker::missing() {
        return skip(test, &format!("needs the package {package}"));
    }
    let host = Host::new(ZUBI).with_env("DOCKER_HOST", "").with_env("CONTAINER_HOST", "");
    host.network("blue --subnet 10.55.66.0/24");
    let docker = Docker::start().unwrap_or_else(|why| panic!("{why}"));
    docker.import_busybox().unwrap_or_else(|why| panic!("{why}"));
    docker.ok(&format!("run -d --network none --name web {SLEEP}"));
    host.zubi("connect blue docker:web").ok();
    let all = up(&host);
    docker.stop().unwrap_or_else(|why| panic!("{why}"));
    // Docker ends its containers when it ends.
    let _daemon = ZubiDaemon::start(&host, DAEMON);
    comes_to(&host, &[]);
    let docker = Docker::start().unwrap_or_else(|why| panic!("{why}"));
    docker.ok("start web");
    comes_to(&host, &all);
    host.zubi("check").ok();
}

zubi_lab::root_tests!(
    containers_of_three_runtimes_and_a_namespace_come_back_to_one_network,
    a_daemon_hears_docker_again_that_was_not_there
);
