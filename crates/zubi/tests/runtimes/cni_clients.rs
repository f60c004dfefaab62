//! Real CNI clients with unchanged lists. zubi stands in the plug-in folder; all else is as Debian has it.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zubi_lab::{
    Attachment, Backend, Cnitool, Containerd, Cri, Host, Outside, PLUGINS, PodConfig, Podman, PodmanConfig, Service,
    Transport, ask, links, skip,
};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const CONF: &str = "/run/net.d";
const FOLDER: &str = "/run/plugins";
/// The state folder of networks made by hand: on this host, not on the machine.
const STATE: (&str, &str) = ("ZUBI_STATE_DIR", "/run/zubi-state");

/// One list with the plug-ins that Podman and nerdctl use.
fn write_network() -> &'static Path {
    let ipam = json!({
        "type": "host-local",
        "ranges": [[{ "subnet": "10.55.66.0/24" }], [{ "subnet": "fd00:55::/64" }]],
        "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }],
    });
    let bridge = json!({
        "type": "bridge", "bridge": "blue0", "isGateway": true, "ipMasq": true, "hairpinMode": true, "ipam": ipam,
    });
    let portmap = json!({ "type": "portmap", "capabilities": { "portMappings": true } });
    let plugins = json!([bridge, portmap, { "type": "firewall" }, { "type": "tuning" }]);
    let list = json!({ "cniVersion": "1.0.0", "name": "blue", "plugins": plugins });
    fs::create_dir_all(CONF).expect(CONF);
    fs::write(format!("{CONF}/10-blue.conflist"), list.to_string()).expect(CONF);
    Path::new(CONF)
}

/// Nothing of any container remains. Waits for the detached child of the last call.
fn nothing_stays(host: &Host) {
    host.wait_for("test -z \"$(ip -o link | grep -E ' (zv|blue0|cni-podman|green)')\"");
    host.wait_for("! nft list table inet zubi 2>/dev/null");
    host.zubi("check").ok();
    let left = host
        .shell("find /run/zubi -name '*.json' ! -name host.json; find /run/zubi/ports /run/zubi/leases -type f")
        .out;
    assert_eq!(left, "");
}

fn cnitool_adds_checks_and_deletes() {
    let test = "cnitool_adds_checks_and_deletes";
    if let Some(what) = Cnitool::missing() {
        return skip(test, &format!("needs {what}"));
    }
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    let tool = Cnitool::new(links(ZUBI, FOLDER, &PLUGINS), write_network()).with_env(STATE.0, STATE.1);
    zubi_lab::cover("/var/lib/cni").expect("/var/lib/cni");
    host.shell("ip netns add c1").ok();
    let ports = json!([{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }]);
    let at = Attachment::new("c1", "c1").ifname("eth7").capability("portMappings", ports);
    let result = tool.attachment("add", "blue", &at).ok().json();
    assert_eq!(result["ips"][0]["address"], "10.55.66.2/24");
    assert_eq!(result["ips"][1]["address"], "fd00:55::2/64");
    let service = Service::start("c1", 80);
    assert!(ask("outside", Transport::Tcp, "192.0.2.1:8080").is_some());
    drop(service);
    // The reference's CHECK fails here, with both families and with a port.
    tool.attachment("check", "blue", &at).ok();
    host.shell("nft flush map inet zubi publish4").ok();
    tool.attachment("check", "blue", &at).fails(1, "publish4");
    tool.attachment("del", "blue", &at).ok();
    tool.attachment("del", "blue", &at).ok();
    nothing_stays(&host);
}

/// containerd with links to zubi as plug-ins.
fn containerd(test: &str) -> Option<(Host, Containerd)> {
    if let Some(package) = Containerd::missing().or_else(Cri::missing) {
        skip(test, &format!("needs the package {package}"));
        return None;
    }
    let plugins = links(ZUBI, FOLDER, &PLUGINS);
    let started = Containerd::start_with_cni(&plugins, write_network(), &[STATE]);
    let host = Host::new(ZUBI);
    host.wait_for("test -n \"$(ls /run/net.d)\"");
    Some((host, started.unwrap_or_else(|why| panic!("{why}"))))
}

fn ctr_attaches_a_task_and_detaches_it() {
    let Some((host, containerd)) = containerd("ctr_attaches_a_task_and_detaches_it") else { return };
    let _outside = Outside::new();
    containerd.run_cni("c1", &[STATE]).ok();
    containerd.exec("c1", "/bin/ping -c 1 -W 5 10.55.66.1").ok();
    containerd.exec("c1", &format!("/bin/ping -c 1 -W 5 {}", Outside::V4)).ok();
    assert!(host.zubi("ls").ok().out.contains("cni:default-c1"));
    // DEL comes without a namespace, because the task has ended.
    let seen = containerd.run_cni_to_end("c2", "/bin/ip -4 -o addr show dev eth0", &[STATE]).ok();
    assert!(seen.out.contains("10.55.66.3/24"), "{}", seen.out);
    assert_eq!(host.zubi("ls").ok().out.lines().count(), 2);
    host.zubi("check").ok();
    // No program detaches what `ctr run -d` attached: `gc` does.
    containerd.remove("c1");
    host.wait_for("! ip -o link | grep -q ' zv'");
    host.zubi("gc").ok();
    nothing_stays(&host);
}

#[track_caller]
fn all_fine<T>(done: Vec<Result<T, String>>) -> Vec<T> {
    done.into_iter().map(|one| one.unwrap_or_else(|why| panic!("{why}\n{}", Containerd::log_tail()))).collect()
}

const PODS: u16 = 50;

fn fifty_sandboxes_at_once() {
    let Some((host, containerd)) = containerd("fifty_sandboxes_at_once") else { return };
    let _outside = Outside::new();
    let cri = containerd.cri();
    let conditions = cri.runtime_status().expect("status")["status"]["conditions"].take();
    assert!(conditions.as_array().expect("conditions").iter().all(|c| c["status"] == 1), "{conditions:#}");
    let pods: Vec<PodConfig> =
        (0..PODS).map(|n| PodConfig::new(&format!("pod{n}")).port(8000 + n, 80, "TCP")).collect();
    let ids = all_fine(cri.run(&pods));
    // Lease files make the addresses distinct; compare some with CRI's reports.
    let leased = host.zubi("--json ls").ok().json();
    let addresses: BTreeSet<String> = addresses_in(&leased);
    assert_eq!(addresses.len(), usize::from(2 * PODS), "{addresses:?}");
    for id in ids.iter().step_by(10) {
        let own = cri.addresses(id);
        assert_eq!(own.len(), 2);
        assert!(own.iter().all(|a| addresses.contains(a)), "{own:?}");
    }
    host.zubi("check").ok();
    let pid = cri.pid(&ids[7]);
    host.shell(&format!("nsenter -t {pid} -n ping -c 1 -W 5 {}", Outside::V4)).ok();
    // The plug-in `loopback` has set the loopback device up.
    host.shell(&format!("nsenter -t {pid} -n ping -c 1 -W 5 127.0.0.1")).ok();
    host.shell(&format!("ip netns attach pod7 {pid}")).ok();
    let service = Service::start("pod7", 80);
    assert_eq!(ask("outside", Transport::Tcp, "192.0.2.1:8007").map(|h| h.server).as_deref(), Some("pod7"));
    drop(service);
    host.shell("ip netns del pod7").ok();
    all_fine(cri.stop(&ids));
    all_fine(cri.stop(&ids));
    all_fine(cri.remove(&ids));
    nothing_stays(&host);
}

fn addresses_in(list: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    match list {
        Value::Array(items) => items.iter().for_each(|item| all.extend(addresses_in(item))),
        Value::Object(map) => map.values().for_each(|value| all.extend(addresses_in(value))),
        Value::String(text) => {
            all.extend(
                text.split_once('/').filter(|(a, _)| a.parse::<std::net::IpAddr>().is_ok()).map(|(a, _)| a.to_owned()),
            );
        }
        _ => {}
    }
    all
}

/// Wraps each plug-in in a script that kills it behind a step once [`kill`] has asked for that.
fn with_kills() -> PathBuf {
    let real = links(ZUBI, "/run/zubi-links", &PLUGINS);
    fs::create_dir_all(FOLDER).expect(FOLDER);
    for name in PLUGINS {
        let path = Path::new(FOLDER).join(name);
        let script = format!(
            "#!/bin/sh\nif [ -e \"/run/kill-{name}-$CNI_COMMAND\" ]; then\n  read ZUBI_FAULT < \"/run/kill-{name}-$CNI_COMMAND\"\n  \
             export ZUBI_FAULT\n  /bin/rm \"/run/kill-{name}-$CNI_COMMAND\"\nfi\nexec {}/{name}\n",
            real.display()
        );
        fs::write(&path, script).expect("script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("script");
    }
    PathBuf::from(FOLDER)
}

/// Kills the next call of this plug-in with this verb. Returns a file that exists until then.
fn kill(plugin: &str, verb: &str, step: usize) -> PathBuf {
    let path = PathBuf::from(format!("/run/kill-{plugin}-{verb}"));
    fs::write(&path, format!("kill:{step}\n")).expect("kill");
    path
}

/// The steps to kill plug-ins at: early, in the middle, and so late that some have finished.
const KILLS: [(&str, &str, [usize; 5]); 4] = [
    ("bridge", "ADD", [1, 9, 17, 25, 33]),
    ("portmap", "ADD", [1, 2, 3, 4, 5]),
    ("portmap", "DEL", [1, 2, 3, 4, 5]),
    ("bridge", "DEL", [1, 4, 7, 10, 13]),
];

fn plug_ins_of_containerd_are_killed() {
    let test = "plug_ins_of_containerd_are_killed";
    if let Some(package) = Containerd::missing().or_else(Cri::missing) {
        return skip(test, &format!("needs the package {package}"));
    }
    let containerd = Containerd::start_with_cni(&with_kills(), write_network(), &[STATE]);
    let (host, containerd) = (Host::new(ZUBI), containerd.unwrap_or_else(|why| panic!("{why}")));
    let cri = containerd.cri();
    for (plugin, verb, steps) in KILLS {
        for step in steps {
            let pod = PodConfig::new(&format!("{plugin}-{step}-{}", verb.to_lowercase())).port(8080, 80, "TCP");
            let pending = kill(plugin, verb, step);
            // containerd calls DEL itself; the client of CRI retries ADD.
            let id = cri.run(std::slice::from_ref(&pod)).remove(0).unwrap_or_else(|_| cri.run_one(&pod));
            let ids = [id];
            // A failed stop is retried.
            if cri.stop(&ids).remove(0).is_err() {
                all_fine(cri.stop(&ids));
            }
            all_fine(cri.remove(&ids));
            assert!(!pending.exists(), "{plugin} {verb}: nobody called it");
            host.shell("find /run/zubi -name '.tmp-*' -delete").ok();
            nothing_stays(&host);
        }
    }
}

/// Whether this Podman lacks the CNI backend.
fn has_no_cni() -> bool {
    const WISH: &str = "/run/cni-wish.conf";
    fs::write(WISH, "[network]\nnetwork_backend = \"cni\"\n").expect(WISH);
    let mut podman = Podman::new().with_env("CONTAINERS_CONF", WISH).command("info");
    let answer = podman.output().expect("podman");
    String::from_utf8_lossy(&answer.stderr).contains("cni support is not enabled")
}

fn podman(test: &str, plugins: PathBuf) -> Option<(Host, Podman)> {
    if let Some(package) = Podman::missing() {
        skip(test, &format!("needs the package {package}"));
        return None;
    }
    if has_no_cni() {
        skip(test, "this Podman is built without CNI, as all from 5.0 on may be");
        return None;
    }
    fs::create_dir_all(CONF).expect(CONF);
    let backend = Backend::Cni { plugins, conf: CONF.into() };
    let config = PodmanConfig::new(backend).env(STATE.0, STATE.1);
    let podman = Podman::start(config).unwrap_or_else(|why| panic!("{why}"));
    Some((Host::new(ZUBI), podman))
}

/// Whether `from` reaches a server at port 80 of the container.
#[track_caller]
fn is_served(host: &Host, podman: &Podman, container: &str, (from, at): (&str, &str)) -> bool {
    let pid = podman.inspect(container)["State"]["Pid"].as_u64().expect("pid");
    host.shell(&format!("ip netns attach {container} {pid}")).ok();
    let service = Service::start(container, 80);
    let heard = ask(from, Transport::Tcp, at);
    drop(service);
    host.shell(&format!("ip netns del {container}")).ok();
    heard.is_some_and(|heard| heard.server == container)
}

fn podman_runs_containers() {
    let Some((host, podman)) = podman("podman_runs_containers", links(ZUBI, FOLDER, &PLUGINS)) else { return };
    let _outside = Outside::new();
    podman.ok("network create --subnet 10.55.66.0/24 blue");
    podman.ok("network create --subnet 10.55.77.0/24 green");
    podman.ok("run -d --name c1 --network blue,green -p 8080:80 -p 9000-9002:70-72/udp busybox sleep 1000");
    assert_eq!(podman.address("c1", "blue"), "10.55.66.2");
    for there in ["10.55.66.1", "10.55.77.1", Outside::V4] {
        podman.ok(&format!("exec c1 ping -c 1 -W 5 {there}"));
    }
    assert!(is_served(&host, &podman, "c1", ("outside", "192.0.2.1:8080")));
    assert!(is_served(&host, &podman, "c1", ("host", "127.0.0.1:8080")));
    host.zubi("check").ok();
    podman.ok("run --rm --name c2 --network blue --ip 10.55.66.77 --mac-address 02:11:22:33:44:55 busybox ip addr show dev eth0");
    let seen = podman.ok("run --rm --network blue --ip 10.55.66.77 busybox ip -4 -o addr show dev eth0");
    assert!(seen.contains("10.55.66.77/24"), "{seen}");

    podman.ok("network disconnect green c1");
    podman.ok("network connect green c1");
    podman.ok("exec c1 ping -c 1 -W 5 10.55.77.1");
    podman.ok("network disconnect green c1");
    podman.ok("network reload c1");
    assert!(is_served(&host, &podman, "c1", ("outside", "192.0.2.1:8080")));
    podman.ok("restart -t 0 c1");
    podman.ok("exec c1 ping -c 1 -W 5 10.55.66.1");

    podman.ok("pod create --name p1 --network blue");
    podman.ok("run -d --pod p1 --name in-p1 busybox sleep 1000");
    podman.ok(&format!("exec in-p1 ping -c 1 -W 5 {}", podman.address("c1", "blue")));
    let kube = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: k1\nspec:\n  containers:\n  - name: web\n    \
                image: localhost/busybox\n    imagePullPolicy: Never\n    command: [/bin/sleep, '1000']\n    \
                ports:\n    - containerPort: 80\n      hostPort: 8081\n";
    podman.play_kube(kube).ok();
    podman.ok(&format!("exec k1-web /bin/ping -c 1 -W 5 {}", Outside::V4));
    assert!(is_served(&host, &podman, "k1-web", ("outside", "192.0.2.1:8081")));
    host.zubi("check").ok();
    podman.ok("pod rm -f -t 0 p1 k1");
    podman.ok("rm -f -t 0 c1");
    podman.ok("network rm blue green");
    nothing_stays(&host);
}

fn podman_starts_ten_at_once() {
    let Some((host, podman)) = podman("podman_starts_ten_at_once", links(ZUBI, FOLDER, &PLUGINS)) else { return };
    podman.ok("network create --subnet 10.55.66.0/24 blue");
    let mut children: Vec<_> = (0..10)
        .map(|n| {
            let words = format!("run -d --name c{n} --network blue -p {}:80 busybox sleep 1000", 9000 + n);
            podman.command(&words).spawn().expect("podman")
        })
        .collect();
    for child in &mut children {
        assert!(child.wait().expect("podman").success());
    }
    let addresses: BTreeSet<String> = (0..10).map(|n| podman.address(&format!("c{n}"), "blue")).collect();
    assert_eq!(addresses.len(), 10);
    host.zubi("check").ok();
    podman.ok("rm -f -t 0 --all");
    nothing_stays(&host);
}

/// Podman's `isolate` becomes a policy of the plug-in `firewall`.
fn podman_isolates_networks() {
    let Some((host, podman)) = podman("podman_isolates_networks", links(ZUBI, FOLDER, &PLUGINS)) else { return };
    for (name, net, isolate) in [("blue", 66, ""), ("red", 77, "-o isolate=true")] {
        podman.ok(&format!("network create --subnet 10.55.{net}.0/24 {isolate} {name}"));
        podman.ok(&format!("run -d --name {name} --network {name} busybox sleep 1000"));
    }
    podman.ok("run -d --name red2 --network red busybox sleep 1000");
    let reaches = |from: &str, to: &str| podman.podman(&format!("exec {from} ping -c 1 -W 1 {to}")).code == 0;
    assert!(reaches("red2", "10.55.77.2"));
    assert!(!reaches("blue", "10.55.77.2"));
    podman.ok("rm -f -t 0 --all");
    nothing_stays(&host);
}

fn plug_ins_of_podman_are_killed() {
    let Some((host, podman)) = podman("plug_ins_of_podman_are_killed", with_kills()) else { return };
    podman.ok("network create --subnet 10.55.66.0/24 blue");
    for (plugin, verb, steps) in KILLS {
        for step in steps {
            let pending = kill(plugin, verb, step);
            if podman.podman("run -d --name c1 --network blue -p 8080:80 busybox sleep 1000").code != 0 {
                podman.ok("rm -f -t 0 --ignore c1");
                podman.ok("run -d --name c1 --network blue -p 8080:80 busybox sleep 1000");
            }
            podman.ok("exec c1 ping -c 1 -W 5 10.55.66.1");
            // Podman reports a failed DEL, goes on and never retries it: the container is gone.
            podman.podman("rm -f -t 0 c1");
            podman.podman("rm -f -t 0 --ignore c1");
            assert!(!pending.exists(), "{plugin} {verb}: nobody called it");
            // The next container works all the same.
            podman.ok("run -d --name c1 --network blue -p 8080:80 busybox sleep 1000");
            podman.ok("exec c1 ping -c 1 -W 5 10.55.66.1");
            podman.ok("rm -f -t 0 c1");
            // A DEL killed before its record moved to pending/ leaves its endpoint to `gc`: the sandbox is gone.
            host.zubi("gc").ok();
            host.shell("find /run/zubi -name '.tmp-*' -delete").ok();
            nothing_stays(&host);
        }
    }
}

zubi_lab::root_tests!(
    cnitool_adds_checks_and_deletes,
    ctr_attaches_a_task_and_detaches_it,
    fifty_sandboxes_at_once,
    plug_ins_of_containerd_are_killed,
    podman_runs_containers,
    podman_starts_ten_at_once,
    podman_isolates_networks,
    plug_ins_of_podman_are_killed,
);
