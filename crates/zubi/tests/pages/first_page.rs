//! The session at the beginning of the README, with a real Docker. It needs root and an installed Docker.

use crate::screens::{compare, page, screens, type_all};
use std::os::unix::fs::symlink;
use zubi_lab::{Docker, links, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const README: &str = "README.md";

fn two_containers_of_docker_ping_each_other_as_the_readme_shows() {
    let test = "two_containers_of_docker_ping_each_other_as_the_readme_shows";
    if let Some(package) = Docker::missing() {
        return skip(test, &format!("needs the package {package}"));
    }
    let docker = Docker::start().unwrap_or_else(|why| panic!("{why}"));
    docker.import_busybox().unwrap_or_else(|why| panic!("{why}"));
    let bin = links(ZUBI, "/run/bin", &["zubi"]);
    // The client that fits this daemon, should the machine have several.
    symlink(docker.command("").get_program(), bin.join("docker")).expect("link");
    let lines: Vec<String> = page(README).lines().map(str::to_owned).collect();
    let hosts = screens(&lines);
    let printed: Vec<String> = hosts.iter().map(|host| type_all(host, &bin)).collect();
    compare(README, lines, &hosts, &printed);
}

zubi_lab::root_tests!(two_containers_of_docker_ping_each_other_as_the_readme_shows);
