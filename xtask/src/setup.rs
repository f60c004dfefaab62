//! What the tests need on a machine besides cargo.

use crate::error::Error;
use crate::policy::NoServices;
use crate::program::{find, run as run_command, written};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

/// Debian packages, each with a program, or the path of a file, that shows its presence where there is no dpkg.
const PACKAGES: [(&str, &str); 32] = [
    ("iproute2", "ip"),
    ("nftables", "nft"),
    ("docker.io", "dockerd"),
    ("docker-compose", "docker-compose"),
    ("podman", "podman"),
    ("busybox-static", "busybox"),
    ("iputils-ping", "ping"),
    ("strace", "strace"),
    ("util-linux", "unshare"),
    ("iptables", "iptables"),
    ("ufw", "ufw"),
    ("dnsmasq-base", "dnsmasq"),
    ("bind9-dnsutils", "dig"),
    ("isc-dhcp-client", "dhclient"),
    ("openvswitch-switch", "ovs-vswitchd"),
    // What zubi prints for its bridges.
    ("ethtool", "ethtool"),
    ("conntrack", "conntrack"),
    ("curl", "curl"),
    ("containernetworking-plugins", "/usr/lib/cni/bridge"),
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("lxc", "lxc-start"),
    ("netavark", "/usr/lib/podman/netavark"),
    ("slirp4netns", "slirp4netns"),
    ("passt", "pasta"),
    ("uidmap", "newuidmap"),
    ("python3-grpcio", "/usr/lib/python3/dist-packages/grpc/__init__.py"),
    ("python3-prometheus-client", "/usr/lib/python3/dist-packages/prometheus_client/__init__.py"),
    // cnitool is built with these.
    ("golang-go", "go"),
    ("golang-github-appc-cni-dev", "/usr/share/gocode/src/github.com/containernetworking/cni/libcni/api.go"),
    ("dpkg-dev", "dpkg-source"),
    ("ca-certificates", "update-ca-certificates"),
];
/// From Debian 13 on docker.io comes without the client, which is this package.
const SPLIT_OFF: (&str, &str) = ("docker-cli", "docker");
/// What the demo needs of these; Docker's part needs root.
const FOR_DEMO: [&str; 3] = ["iproute2", "nftables", "iputils-ping"];
const FOR_DEMO_AS_ROOT: [&str; 2] = ["docker.io", "busybox-static"];
/// The target of the static release.
pub(crate) const STATIC_TARGET: &str = "x86_64-unknown-linux-musl";

/// Installs what is missing where that is possible, and names it where it is not. Never fails: a test that lacks
/// something says so and is skipped.
pub(crate) fn run() {
    let mut missing = installed_or_missing(&PACKAGES);
    if find(SPLIT_OFF.1).is_none() {
        missing.extend(installed_or_missing(&[SPLIT_OFF]));
    }
    if !missing.is_empty() {
        println!("setup: missing Debian packages (tests that need them are skipped): {}", missing.join(" "));
    }
    if let Err(why) = zubi_lab::Cnitool::build() {
        println!("setup: cnitool not built (tests that need it are skipped): {why}");
    }
    if let Err(why) = add_static_target() {
        println!("setup: target {STATIC_TARGET} not added: {why}");
    }
}

/// Says first what the demo lacks, then installs it where that is possible. Never fails: the demo leaves out what it
/// cannot show.
pub(crate) fn for_demo() {
    let wanted = |package: &str| FOR_DEMO.contains(&package) || (is_root() && FOR_DEMO_AS_ROOT.contains(&package));
    let packages: Vec<_> = PACKAGES.into_iter().filter(|(package, _)| wanted(package)).collect();
    let split_off = || is_root() && find(SPLIT_OFF.1).is_none();
    let mut lacking = missing_packages(&packages);
    // Where docker.io is missing too, it may bring the client.
    if split_off() && !lacking.contains(&"docker.io") {
        lacking.push(SPLIT_OFF.0);
    }
    let target = lacks_static_target();
    if lacking.is_empty() && target != Ok(true) {
        println!("The demo installs nothing: all that it needs is here.");
    } else {
        let target = (target == Ok(true)).then(|| format!("Rust's target {STATIC_TARGET}"));
        let lacking = (!lacking.is_empty()).then(|| format!("the Debian packages {}", lacking.join(" ")));
        let what: Vec<String> = lacking.into_iter().chain(target).collect();
        println!("The demo first installs {}.", what.join(", and "));
    }
    let mut missing = installed_or_missing(&packages);
    if split_off() {
        missing.extend(installed_or_missing(&[SPLIT_OFF]));
    }
    if !missing.is_empty() {
        println!("setup: missing Debian packages: {}", missing.join(" "));
    }
    if let Err(why) = add_static_target() {
        println!("setup: target {STATIC_TARGET} not added: {why}");
    }
}

/// The packages of the client tests, by the names of another release.
pub(crate) fn packages_of_clients() -> Vec<&'static str> {
    // cnitool is built on this machine.
    let builds = ["golang-go", "golang-github-appc-cni-dev", "dpkg-dev"];
    let names = PACKAGES.iter().map(|(package, _)| *package);
    names
        .filter(|package| !builds.contains(package))
        .chain([SPLIT_OFF.0, "firewalld", "dbus-daemon", "procps"])
        .collect()
}

/// Installs what another task needs. Fails when something is unavailable.
pub(crate) fn install(packages: &[(&'static str, &'static str)]) -> Result<(), Error> {
    let missing = installed_or_missing(packages);
    let lacking = packages.iter().find(|(package, _)| missing.contains(package));
    match lacking {
        Some((package, program)) => {
            Err(Error::Missing { program: (*program).to_owned(), package: (*package).to_owned() })
        }
        None => Ok(()),
    }
}

/// Installs what is missing, where that is possible; returns what is still missing.
fn installed_or_missing(packages: &[(&'static str, &'static str)]) -> Vec<&'static str> {
    let missing = missing_packages(packages);
    if missing.is_empty() || !is_root() || find("apt-get").is_none() {
        return missing;
    }
    println!("setup: installs these Debian packages, and starts none of their services: {}", missing.join(" "));
    if let Err(e) = apt_install(&missing) {
        println!("setup: {e}");
    }
    missing_packages(packages)
}

fn missing_packages(packages: &[(&'static str, &'static str)]) -> Vec<&'static str> {
    let dpkg = find("dpkg-query").is_some();
    let is_there = |package: &str, program: &str| if dpkg { dpkg_has(package) } else { find(program).is_some() };
    packages.iter().filter(|(package, program)| !is_there(package, program)).map(|(package, _)| *package).collect()
}

fn dpkg_has(package: &str) -> bool {
    let answer = Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]).output();
    answer.is_ok_and(|answer| answer.stdout == b"installed")
}

fn apt_install(packages: &[&str]) -> Result<(), Error> {
    let mut no_services = NoServices::begin()?;
    let mut apt_get = |word: &str, options: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args([word, "-y", "-q"]).args(options).env("DEBIAN_FRONTEND", "noninteractive");
        println!("+ {}", written(&command));
        no_services.run(&mut command).map_err(|source| Error::Start { command: written(&command), source })
    };
    let install = [&["--no-install-recommends"], packages].concat();
    // The lists may be older than what the mirrors still hold. apt-get itself prints what failed.
    let done = apt_get("install", &install)
        .and_then(|done| if done { Ok(true) } else { Ok(apt_get("update", &[])? && apt_get("install", &install)?) });
    no_services.end()?;
    done.map(drop)
}

fn add_static_target() -> Result<(), String> {
    if !lacks_static_target()? {
        return Ok(());
    }
    run_command(Command::new("rustup").args(["target", "add", STATIC_TARGET])).map_err(|e| e.to_string())
}

/// Without rustup the toolchain cannot be asked, and nothing can be added.
fn lacks_static_target() -> Result<bool, String> {
    if find("rustup").is_none() {
        return Ok(false);
    }
    let listed = Command::new("rustup").args(["target", "list", "--installed"]).stderr(Stdio::null()).output();
    let listed = listed.map_err(|e| e.to_string())?;
    Ok(!String::from_utf8_lossy(&listed.stdout).lines().any(|target| target == STATIC_TARGET))
}

/// /proc/self belongs to the effective user.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}
