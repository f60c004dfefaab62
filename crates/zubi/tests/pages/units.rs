//! The units of systemd and Quadlet that the pages show.

use crate::screens::page;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use zubi_lab::{Host, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const QUADLET: &str = "/usr/libexec/podman/quadlet";

/// Writes the units of a page below this folder; each begins with a comment that names its file. Returns their paths.
#[track_caller]
fn units(name: &str, below: &str) -> Vec<PathBuf> {
    let text = page(name);
    let blocks = text.split("```ini\n").skip(1).filter_map(|rest| rest.split("```").next());
    let written = blocks.map(|unit| {
        let file = unit.lines().next().and_then(|line| line.strip_prefix("# ")).expect("a file's name");
        let path = Path::new(below).join(file.trim_start_matches('/'));
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, unit.replace("/usr/bin/zubi", ZUBI)).expect("a unit");
        path
    });
    let written: Vec<PathBuf> = written.collect();
    assert!(!written.is_empty(), "{name} has no units");
    written
}

fn systemd_understands_the_units() {
    let test = "systemd_understands_the_units";
    let units = units("docs/daemon.md", "/run/units");
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]).args(&units);
    // Units name each other.
    verify.env("SYSTEMD_UNIT_PATH", format!("{}:", units[0].parent().expect("a folder").display()));
    let Ok(answer) = verify.output() else { return skip(test, "needs systemd-analyze") };
    let said = String::from_utf8_lossy(&answer.stderr);
    let about: Vec<&str> = said.lines().filter(|line| line.contains("/run/units")).collect();
    assert!(answer.status.success() && about.is_empty(), "{said}");
}

/// What the unit of the network does, as often as the service is started.
fn a_service_gets_its_network_and_gives_it_back() {
    let units = units("docs/daemon.md", "/run/units");
    let unit = fs::read_to_string(&units[0]).expect("a unit");
    let run_all = |host: &Host, key: &str| {
        for line in unit.lines().filter_map(|line| line.strip_prefix(key)) {
            host.shell(line).ok();
        }
    };
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    for _ in 0..2 {
        run_all(&host, "ExecStart=");
        host.shell("nsenter --net=/run/netns/web ping -c 1 -W 5 10.55.66.1").ok();
        run_all(&host, "ExecStop=");
        assert_eq!(host.zubi("--json ls").ok().json().as_array().map(Vec::len), Some(0));
    }
}

fn quadlet_understands_its_units() {
    let test = "quadlet_understands_its_units";
    let units = units("docs/podman.md", "/run/quadlets");
    if !Path::new(QUADLET).is_file() {
        return skip(test, "needs Podman 4.4");
    }
    let folder = units[0].parent().expect("a folder");
    let answer = Command::new(QUADLET).arg("-dryrun").env("QUADLET_UNIT_DIRS", folder).output().expect("quadlet");
    let made = String::from_utf8_lossy(&answer.stdout);
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    for word in ["network create", "--label zubi.network=blue", "--network blue", "--publish 8080:80"] {
        assert!(made.contains(word), "{word} is not in {made}");
    }
}

zubi_lab::tests!(
    systemd_understands_the_units,
    a_service_gets_its_network_and_gives_it_back,
    quadlet_understands_its_units
);
