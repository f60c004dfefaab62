//! Containers of real runtimes, each on a host of its own.

use std::net::IpAddr;
use zubi_lab::{Containerd, Docker, Host, Lxc, Outside, Podman, Snapshot, assert_reaches, links, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const BARE: &str = "run -d --network none --name";
const SLEEP: &str = "busybox sleep 1000";

/// A host, and its Docker with the image `busybox`; `None` without an installed Docker.
fn host_with_docker(test: &str) -> Option<(Host, Docker)> {
    if let Some(package) = Docker::missing() {
        skip(test, &format!("needs the package {package}"));
        return None;
    }
    let docker = Docker::start().unwrap_or_else(|why| panic!("{why}"));
    docker.import_busybox().unwrap_or_else(|why| panic!("{why}"));
    // Ignore the developer's own Docker and Podman.
    Some((Host::new(ZUBI).with_env("DOCKER_HOST", "").with_env("CONTAINER_HOST", ""), docker))
}

/// The devices that a container sees.
fn devices(docker: &Docker, container: &str) -> Vec<String> {
    let text = docker.ok(&format!("exec {container} ip -o link"));
    let name = |line: &str| Some(line.split(": ").nth(1)?.split('@').next()?.to_owned());
    text.lines().filter_map(name).collect()
}

fn pings(docker: &Docker, container: &str, address: &str) {
    docker.ok(&format!("exec {container} ping -c 1 -W 5 {address}"));
}

fn a_container_without_network_is_bridged_and_made_bare_again() {
    let test = "a_container_without_network_is_bridged_and_made_bare_again";
    let Some((host, docker)) = host_with_docker(test) else { return };
    let _outside = Outside::new();
    docker.ok(&format!("{BARE} web {SLEEP}"));
    let before = Snapshot::take();
    host.network("blue --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    let c1 = host.container("c1", "blue");
    assert_eq!(devices(&docker, "web"), ["lo"]);

    let connected = host.zubi("--json connect blue docker:web").ok().json();
    assert_eq!(connected["sandbox"], "docker:web");
    assert_eq!(connected["ifname"], "eth0");
    // The bare name works too and leads to the same endpoint.
    assert_eq!(host.zubi("--json connect blue web").ok().json()["existing"], true);
    assert_eq!(devices(&docker, "web"), ["lo", "eth0"]);

    for address in [&*c1, "fd00:55::2", "10.55.66.1", "fd00:55::1", Outside::V4, Outside::V6] {
        pings(&docker, "web", address);
    }
    host.zubi("sandbox add w1 --from docker:web").ok();
    assert_reaches("w1", "c1", &c1);
    assert_reaches("w1", "host", "10.55.66.1");
    assert_reaches("w1", "outside", Outside::V4);
    assert_reaches("w1", "outside", Outside::V6);
    assert_reaches("c1", "w1", "10.55.66.3");
    assert_reaches("c1", "w1", "fd00:55::3");
    host.zubi("check").ok();
    // A further name of a container's namespace is only a name.
    host.zubi("sandbox rm w1").ok();
    pings(&docker, "web", &c1);

    host.zubi("disconnect blue docker:web").ok();
    host.settle();
    assert_eq!(devices(&docker, "web"), ["lo"]);
    assert_eq!(docker.ok("exec web ip route"), "");
    host.zubi("check").ok();
    host.zubi("sandbox rm c1").ok();
    host.zubi("network rm blue").ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn a_container_of_a_docker_network_can_be_connected_to_further_ones_by_both() {
    let test = "a_container_of_a_docker_network_can_be_connected_to_further_ones_by_both";
    let Some((host, docker)) = host_with_docker(test) else { return };
    for name in ["own", "two", "three"] {
        docker.ok(&format!("network create {name}"));
    }
    docker.ok(&format!("run -d --name web --network own {SLEEP}"));
    for name in ["blue", "green"] {
        host.network(name);
    }
    assert_eq!(host.zubi("--json connect blue docker:web").ok().json()["ifname"], "zeth0");
    docker.ok("network connect two web");
    assert_eq!(host.zubi("--json connect green docker:web").ok().json()["ifname"], "zeth1");
    docker.ok("network connect three web");
    let mut all = devices(&docker, "web");
    all.sort();
    assert_eq!(all, ["eth0", "eth1", "eth2", "lo", "zeth0", "zeth1"]);
    host.zubi("check").ok();
}

fn a_restarted_container_is_told_and_connected_again_and_its_old_lease_is_free() {
    let test = "a_restarted_container_is_told_and_connected_again_and_its_old_lease_is_free";
    let Some((host, docker)) = host_with_docker(test) else { return };
    host.network("blue --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    docker.ok(&format!("{BARE} web {SLEEP}"));
    let old = host.connect("blue docker:web");
    docker.ok("restart -t 0 web");

    let check = host.zubi("--json check");
    assert_eq!(check.code, 1, "{}{}", check.out, check.err);
    let problems = check.json();
    assert_eq!(problems["problems"].as_array().map(Vec::len), Some(1), "{problems:#}");
    let problem = &problems["problems"][0];
    assert_eq!(problem["kind"], "sandbox-restarted");
    assert_eq!(problem["fix"], "zubi connect blue docker:web");

    let new = host.connect("blue docker:web");
    pings(&docker, "web", "10.55.66.1");
    pings(&docker, "web", "fd00:55::1");
    host.zubi("check").ok();
    assert_eq!(host.zubi("--json ls").ok().json().as_array().map(Vec::len), Some(1));
    assert_eq!(host.shell("ls /run/zubi/leases/blue | grep -vF :").ok().out.trim(), new);
    if old != new {
        // The address is free again.
        host.zubi("sandbox add c1").ok();
        assert_eq!(host.connect(&format!("blue c1 --ip {old}")), old);
    }
}

fn docker_s_own_bridge_is_adopted_and_what_docker_has_given_is_left_out() {
    let test = "docker_s_own_bridge_is_adopted_and_what_docker_has_given_is_left_out";
    if let Some(package) = Docker::missing() {
        return skip(test, &format!("needs the package {package}"));
    }
    let docker = Docker::start_with_firewall().unwrap_or_else(|why| panic!("{why}"));
    docker.import_busybox().unwrap_or_else(|why| panic!("{why}"));
    let host = Host::new(ZUBI).with_env("DOCKER_HOST", "").with_env("CONTAINER_HOST", "");
    for name in ["web", "db"] {
        docker.ok(&format!("run -d --name {name} {SLEEP}"));
    }
    let of = |name: &str| docker.ok(&format!("inspect -f {{{{.NetworkSettings.IPAddress}}}} {name}")).trim().to_owned();
    assert_eq!((of("web"), of("db")), ("172.31.99.2".into(), "172.31.99.3".into()));

    let words = "lan --bridge docker0 --adopt --subnet 172.31.99.0/24 --ip-range 172.31.99.0/28";
    let said = host.zubi(&format!("network create {words}")).ok().err;
    assert!(said.contains("dockerd chooses outside of it"), "{said}");
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1 --ip 172.31.99.2").fails(4, "172.31.99.2 is taken by docker:web behind port veth");
    assert_eq!(host.connect("lan c1"), "172.31.99.4");
    pings(&docker, "web", "172.31.99.4");
    assert_reaches("c1", "host", "172.31.99.1");
    // Docker gives the address to nobody now.
    docker.ok("rm -f web");
    host.shell("ip neigh flush dev docker0").ok();
    host.zubi("sandbox add c2").ok();
    assert_eq!(host.connect("lan c2 --ip 172.31.99.2"), "172.31.99.2");
    host.zubi("check").ok();
}

fn a_container_has_its_name_on_all_networks_however_it_is_called() {
    let test = "a_container_has_its_name_on_all_networks_however_it_is_called";
    let Some((host, docker)) = host_with_docker(test) else { return };
    docker.ok(&format!("{BARE} web {SLEEP}"));
    let pid = docker.ok("inspect -f {{.State.Pid}} web").trim().to_owned();
    for (network, called, name) in [
        ("blue", format!("pid:{pid}"), format!("pid:{pid}")),
        ("green", "docker:web".to_owned(), "docker:web".to_owned()),
        ("red", "w1".to_owned(), "docker:web".to_owned()),
        ("grey", format!("/proc/{pid}/ns/net"), "docker:web".to_owned()),
    ] {
        if called == "w1" {
            host.zubi("sandbox add w1 --from docker:web").ok();
        }
        host.network(network);
        assert_eq!(host.zubi(&format!("--json connect {network} {called}")).ok().json()["sandbox"], *name);
        let listed = host.zubi("--json ls").ok().json();
        assert!(listed.as_array().expect("list").iter().all(|e| e["sandbox"] == *name), "{called}: {listed}");
    }
    assert_eq!(host.zubi("network inspect blue").ok().out.matches("\"web\"").count(), 1);
}

fn templates_print_what_docker_prints() {
    let Some((host, docker)) = host_with_docker("templates_print_what_docker_prints") else { return };
    let create = "network create blue --subnet 10.55.66.0/24 --gateway 10.55.66.9 -o com.docker.network.bridge.name=br7 --label a=1 --label b=";
    let templates = [
        "{{.Name}}\t{{.Driver}}",
        "{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}}",
        "{{range $at, $pool := .IPAM.Config}}{{$at}}:{{$pool.Subnet}}{{end}}",
        "{{range $key, $value := .Labels}}{{$key}}={{$value}};{{end}}",
        "{{range .Containers}}x{{else}}none{{end}}",
        "{{if .Internal}}in{{else if .EnableIPv6}}six{{else}}out{{end}}",
        "{{with .IPAM}}{{.Driver}}{{end}}|{{with .Containers}}x{{end}}",
        "{{json .Labels}} {{json .Name}} {{.Name | json}}",
        "{{index .Options \"com.docker.network.bridge.name\"}}|{{index .Options \"none\"}}|",
        "{{(index .IPAM.Config 0).Subnet}}",
        "{{len .Labels}} {{len .Name}} {{len .Containers}}",
        "{{.Name | upper | printf \"%s-%s\" .Driver}}",
        "{{printf \"%v %q %d%%\" .Internal .Name 7}}",
        "{{join (split .Name \"l\") \"-\"}}",
        "{{if and (eq .Driver \"x\" \"bridge\") (not .Internal) (ne .Name \"x\")}}yes{{end}}{{or .Internal .Name}}",
        "a  {{- /* c */ -}}  b {{- .Name -}} \n c",
        "{{$n := .Name}}{{range .Labels}}{{$n}}{{$.Driver}}{{end}}",
        "{{print .Name \"\\n\" \"}}\" `\\n`}}{{println .Name 1 true}}",
    ];
    docker.ok(create);
    let inspect = |template: &str| {
        let mut command = docker.command("network inspect blue --format");
        let output = command.arg(template).output().expect("docker");
        assert!(output.status.success(), "{template}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said: Vec<String> = templates.iter().map(|template| inspect(template)).collect();
    docker.ok("network rm blue");
    host.zubi(create).ok();
    for (template, said) in templates.iter().zip(said) {
        assert_eq!(host.zubi_words(&["network", "inspect", "blue", "--format", template]).ok().out, said, "{template}");
    }
}

fn a_container_that_does_not_run_or_is_unknown_is_not_found() {
    let test = "a_container_that_does_not_run_or_is_unknown_is_not_found";
    let Some((host, docker)) = host_with_docker(test) else { return };
    host.network("blue");
    docker.ok(&format!("{BARE} web {SLEEP}"));
    docker.ok("stop -t 0 web");
    host.zubi("connect blue docker:web").fails(3, "exited");
    host.zubi("connect blue web").fails(3, "exited");
    host.zubi("connect blue docker:nobody").fails(3, "docker:nobody");
    host.zubi("connect blue nobody").fails(3, "nobody");
    assert_eq!(host.zubi("--json ls").ok().json().as_array().map(Vec::len), Some(0));
}

fn a_container_on_the_host_s_network_is_named_with_the_way_out() {
    let test = "a_container_on_the_host_s_network_is_named_with_the_way_out";
    let Some((host, docker)) = host_with_docker(test) else { return };
    docker.ok(&format!("run -d --network host --name onhost {SLEEP}"));
    host.network("blue");
    let said = "docker:onhost runs with --network host; start it with --network none";
    for name in ["docker:onhost", "onhost"] {
        host.zubi(&format!("connect blue {name}")).fails(3, said);
    }
}

fn inspect_shows_containers_by_the_id_that_docker_has() {
    let Some((host, docker)) = host_with_docker("inspect_shows_containers_by_the_id_that_docker_has") else { return };
    host.network("blue --subnet 10.55.66.0/24");
    docker.ok(&format!("{BARE} web {SLEEP}"));
    host.connect("blue docker:web");
    let id = docker.ok("ps --no-trunc -q");
    let network = &host.zubi("network inspect blue").ok().json()[0];
    let container = &network["Containers"][id.trim()];
    assert_eq!(container["Name"], "web", "{network}");
    assert_eq!(container["Sandbox"], "docker:web", "{network}");
}

fn a_command_can_share_the_network_of_a_container() {
    let Some((host, docker)) = host_with_docker("a_command_can_share_the_network_of_a_container") else { return };
    host.network("blue --subnet 10.55.66.0/24");
    docker.ok(&format!("{BARE} web {SLEEP}"));
    let web = host.connect("blue docker:web");
    let shared = host.zubi("run --network container:docker:web ip -br -4 addr show dev eth0").ok();
    assert!(shared.out.contains(&web), "{}", shared.out);
    let inside = host.zubi("sandbox exec docker:web readlink /proc/self/ns/net").ok();
    let pid = docker.ok("inspect --format {{.State.Pid}} web");
    assert_eq!(inside.out, host.shell(&format!("readlink /proc/{}/ns/net", pid.trim())).ok().out);
}

fn a_container_without_ipv6_gets_it_with_its_endpoint() {
    let Some((host, docker)) = host_with_docker("a_container_without_ipv6_gets_it_with_its_endpoint") else { return };
    host.network("blue --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    host.container("c1", "blue");
    let off = "--sysctl net.ipv6.conf.all.disable_ipv6=1 --sysctl net.ipv6.conf.default.disable_ipv6=1";
    docker.ok(&format!("run -d --network none {off} --name web {SLEEP}"));
    for scope in ["all", "default"] {
        assert_eq!(docker.ok(&format!("exec web cat /proc/sys/net/ipv6/conf/{scope}/disable_ipv6")), "1\n");
    }
    host.connect("blue docker:web");
    let addresses = docker.ok("exec web ip -6 -o addr show dev eth0");
    assert!(addresses.contains("fd00:55::3/64"), "{addresses}");
    pings(&docker, "web", "fd00:55::2");
    host.zubi("check").ok();
}

fn a_network_without_ipv6_brings_none_into_a_container() {
    let Some((host, docker)) = host_with_docker("a_network_without_ipv6_brings_none_into_a_container") else { return };
    host.network("blue --subnet 10.55.66.0/24");
    let on = "--sysctl net.ipv6.conf.all.disable_ipv6=0 --sysctl net.ipv6.conf.default.disable_ipv6=0";
    docker.ok(&format!("run -d --network none {on} --name web {SLEEP}"));
    host.connect("blue docker:web");
    assert_eq!(docker.ok("exec web ip -6 -o addr show dev eth0"), "");
    host.zubi("check").ok();
}

fn a_podman_container_is_connected_and_one_name_in_two_runtimes_is_ambiguous() {
    let test = "a_podman_container_is_connected_and_one_name_in_two_runtimes_is_ambiguous";
    let Some((host, docker)) = host_with_docker(test) else { return };
    if let Some(package) = Podman::missing() {
        return skip(test, &format!("needs the package {package}"));
    }
    let podman = Podman::new();
    let host = host.with_env(Podman::CONF_VARIABLE, Podman::CONF);
    podman.import_busybox();
    podman.ok(&format!("run -d --network none --name web localhost/{SLEEP}"));
    host.network("blue --subnet 10.55.66.0/24 --subnet fd00:55::/64");

    // The bare name suffices while only one container has it.
    let web = host.zubi("--json connect blue web").ok().json();
    assert_eq!(web["sandbox"], "podman:web");
    podman.ok("exec web ping -c 1 -W 5 10.55.66.1");

    docker.ok(&format!("{BARE} web {SLEEP}"));
    let ambiguous = host.zubi("connect blue web").fails(2, "ambiguous");
    for candidate in ["docker:web", "podman:web"] {
        assert!(ambiguous.err.contains(candidate), "{}", ambiguous.err);
    }
    let address: IpAddr = host.connect("blue docker:web").parse().expect("address");
    podman.ok(&format!("exec web ping -c 1 -W 5 {address}"));
    host.zubi("check").ok();

    host.zubi("disconnect blue podman:web").ok();
    host.settle();
    let left = podman.ok("exec web ip -o link");
    assert_eq!(left.lines().count(), 1, "{left}");
    podman.ok("stop -t 0 web");
    host.zubi("connect blue podman:web").fails(3, "Podman");
    // Only the other container still runs, so the bare name is unambiguous again.
    assert_eq!(host.zubi("--json connect blue web").ok().json()["sandbox"], "docker:web");
}

fn a_containerd_task_is_connected_by_its_id() {
    let test = "a_containerd_task_is_connected_by_its_id";
    if let Some(package) = Containerd::missing() {
        return skip(test, &format!("needs the package {package}"));
    }
    let host = Host::new(ZUBI).with_env("DOCKER_HOST", "").with_env("CONTAINER_HOST", "");
    let containerd = Containerd::start().unwrap_or_else(|why| panic!("{why}"));
    containerd.run("task1");
    host.network("blue --subnet 10.55.66.0/24");
    let c1 = host.container("c1", "blue");
    assert_eq!(host.zubi("--json connect blue containerd:task1").ok().json()["sandbox"], "containerd:task1");
    assert_eq!(host.zubi("--json connect blue task1").ok().json()["existing"], true);
    containerd.ctr(&format!("task exec --exec-id ping task1 /bin/ping -c 1 -W 5 {c1}")).ok();
    host.zubi("check").ok();
    host.zubi("disconnect blue containerd:task1").ok();
    host.settle();
    let left = containerd.ctr("task exec --exec-id link task1 /bin/ip -o link").ok();
    assert_eq!(left.out.lines().count(), 1, "{}", left.out);
    containerd.ctr("task kill --signal SIGKILL task1").ok();
    host.wait_for("ctr task ls | grep STOPPED");
    host.zubi("connect blue containerd:task1").fails(3, "task1");
}

/// Who zubi says is behind a port of a bridge made by hand, with its other end in the namespace of a process.
fn owner_of_port(host: &Host, pid: &str) -> serde_json::Value {
    host.shell("ip link add br9 type bridge").ok();
    host.shell(&format!("ip link add v9 type veth peer name eth9 netns {} && ip link set v9 master br9", pid.trim()))
        .ok();
    let told = host.zubi("--json bridge show br9").ok().json();
    assert_eq!(told[0]["ports"][0]["ifname"], "eth9");
    told[0]["ports"][0]["owner"].clone()
}

fn a_docker_container_behind_a_port_is_named() {
    let Some((host, docker)) = host_with_docker("a_docker_container_behind_a_port_is_named") else { return };
    docker.ok(&format!("{BARE} web {SLEEP}"));
    let owner = owner_of_port(&host, &docker.ok("inspect --format {{.State.Pid}} web"));
    assert_eq!((&owner["kind"], &owner["text"]), (&"container".into(), &"docker:web".into()));
    assert_eq!(owner["id"], docker.ok("inspect --format {{.Id}} web").trim());
}

fn a_podman_container_behind_a_port_is_named() {
    if let Some(package) = Podman::missing() {
        return skip("a_podman_container_behind_a_port_is_named", &format!("needs the package {package}"));
    }
    let podman = Podman::new();
    podman.import_busybox();
    let host = Host::new(ZUBI).with_env("DOCKER_HOST", "").with_env("CONTAINER_HOST", "");
    let host = host.with_env(Podman::CONF_VARIABLE, Podman::CONF);
    podman.ok(&format!("{BARE} web {SLEEP}"));
    let owner = owner_of_port(&host, &podman.ok("inspect --format {{.State.Pid}} web"));
    assert_eq!((&owner["kind"], &owner["text"]), (&"container".into(), &"podman:web".into()));
}

fn a_containerd_task_behind_a_port_is_named() {
    if let Some(package) = Containerd::missing() {
        return skip("a_containerd_task_behind_a_port_is_named", &format!("needs the package {package}"));
    }
    let host = Host::new(ZUBI).with_env("DOCKER_HOST", "").with_env("CONTAINER_HOST", "");
    let containerd = Containerd::start().unwrap_or_else(|why| panic!("{why}"));
    containerd.run("task1");
    let listed = containerd.ctr("task ls").ok().out;
    let line = listed.lines().find(|line| line.starts_with("task1")).unwrap_or_else(|| panic!("{listed}"));
    let owner = owner_of_port(&host, line.split_whitespace().nth(1).expect("pid"));
    assert_eq!((&owner["kind"], &owner["text"]), (&"container".into(), &"containerd:task1".into()));
}

fn a_container_of_lxc_is_connected_by_its_name_and_named_behind_its_port() {
    let test = "a_container_of_lxc_is_connected_by_its_name_and_named_behind_its_port";
    if let Some(package) = Lxc::missing() {
        return skip(test, &format!("needs the package {package}"));
    }
    let host = Host::new(ZUBI).with_env("DOCKER_HOST", "").with_env("CONTAINER_HOST", "");
    Lxc::start("web");
    host.network("blue --subnet 10.55.66.0/24");
    let said = host.zubi("connect blue lxc:web").ok().out;
    assert!(said.starts_with("lxc:web: eth0 10.55.66.2/24"), "{said}");
    Lxc::exec("web", "/bin/ping -c 1 -W 5 10.55.66.1").ok();
    // The bare name leads there too, also for pipework.
    assert_eq!(host.zubi("--json connect blue web").ok().json()["existing"], true);
    host.zubi("check").ok();
    links(ZUBI, "/run/bin", &["pipework"]);
    host.shell("/run/bin/pipework br1 web 10.7.0.5/24").ok();
    assert!(Lxc::exec("web", "/bin/ip -4 addr show eth1").ok().out.contains("10.7.0.5/24"));
    let owner = owner_of_port(&host, &host.shell("lxc-info -P /run/lxc-containers -n web -p -H").ok().out);
    assert_eq!((&owner["kind"], &owner["text"]), (&"container".into(), &"lxc:web".into()));
    host.zubi("disconnect blue lxc:web").ok();
    Lxc::stop("web");
    host.zubi("gc").ok();
    host.zubi("connect blue lxc:web").fails(3, "sandbox lxc:web does not exist");
}

zubi_lab::root_tests!(
    a_container_of_a_docker_network_can_be_connected_to_further_ones_by_both,
    a_container_without_network_is_bridged_and_made_bare_again,
    a_restarted_container_is_told_and_connected_again_and_its_old_lease_is_free,
    docker_s_own_bridge_is_adopted_and_what_docker_has_given_is_left_out,
    a_container_has_its_name_on_all_networks_however_it_is_called,
    templates_print_what_docker_prints,
    a_container_that_does_not_run_or_is_unknown_is_not_found,
    a_container_on_the_host_s_network_is_named_with_the_way_out,
    inspect_shows_containers_by_the_id_that_docker_has,
    a_command_can_share_the_network_of_a_container,
    a_container_without_ipv6_gets_it_with_its_endpoint,
    a_network_without_ipv6_brings_none_into_a_container,
    a_podman_container_is_connected_and_one_name_in_two_runtimes_is_ambiguous,
    a_containerd_task_is_connected_by_its_id,
    a_docker_container_behind_a_port_is_named,
    a_podman_container_behind_a_port_is_named,
    a_containerd_task_behind_a_port_is_named,
    a_container_of_lxc_is_connected_by_its_name_and_named_behind_its_port,
);
