//! The screens of machines with Docker. They need root and an installed Docker.

use crate::screens::{Fence, compare, page, screens, type_all};
use std::os::unix::fs::symlink;
use zubi_lab::{Docker, Outside, links, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// Types the page's screens on this host, with a Docker of its own.
fn shows_what_happens_with_docker(name: &str, test: &str) {
    if let Some(package) = Docker::missing() {
        return skip(test, &format!("needs the package {package}"));
    }
    let _outside = Outside::new();
    let docker = Docker::start_with_firewall().unwrap_or_else(|why| panic!("{why}"));
    docker.import_busybox().unwrap_or_else(|why| panic!("{why}"));
    let bin = links(ZUBI, "/run/bin", &["zubi"]);
    // The client that fits this daemon, should the machine have several.
    symlink(docker.command("").get_program(), bin.join("docker")).expect("link");
    let lines: Vec<String> = page(name).lines().map(str::to_owned).collect();
    let hosts = screens(&lines, Fence::Docker);
    assert!(!hosts[0].is_empty(), "{name} has no screens");
    let printed: Vec<String> = hosts.iter().map(|host| type_all(host, &bin)).collect();
    compare(name, lines, &hosts, &printed);
}

fn two_containers_ping_each_other_as_the_readme_shows() {
    shows_what_happens_with_docker("README.md", "two_containers_ping_each_other_as_the_readme_shows");
}

fn the_tutorials_show_what_happens_with_docker() {
    shows_what_happens_with_docker("docs/tutorials.md", "the_tutorials_show_what_happens_with_docker");
}

zubi_lab::root_tests!(two_containers_ping_each_other_as_the_readme_shows, the_tutorials_show_what_happens_with_docker);
