//! Real clients of network plug-ins work on hosts of the lab, with Debian's own plug-ins and netavark.

use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use zubi_lab::{
    Attachment, Backend, Cnitool, Containerd, Cri, Host, Outside, PodConfig, Podman, PodmanConfig, Service, cover, skip,
};

const REFERENCE: &str = "/usr/lib/cni";
const CONF: &str = "/run/net.d";

fn has_reference(test: &str) -> bool {
    let there = Path::new(REFERENCE).join("bridge").is_file();
    if !there {
        skip(test, "needs the package containernetworking-plugins");
    }
    there
}

/// A folder with one network for the reference plug-ins.
fn write_network() -> &'static Path {
    let ipam = json!({
        "type": "host-local",
        "ranges": [[{ "subnet": "10.55.66.0/24" }]],
        "routes": [{ "dst": "0.0.0.0/0" }],
    });
    let bridge = json!({ "type": "bridge", "bridge": "blue0", "isGateway": true, "ipMasq": true, "ipam": ipam });
    let portmap = json!({ "type": "portmap", "capabilities": { "portMappings": true } });
    let list = json!({ "cniVersion": "1.0.0", "name": "blue", "plugins": [bridge, portmap] });
    fs::create_dir_all(CONF).expect(CONF);
    fs::write(format!("{CONF}/10-blue.conflist"), list.to_string()).expect(CONF);
    Path::new(CONF)
}

fn leases(host: &Host) -> Vec<String> {
    let listed = host.shell("ls /var/lib/cni/networks/blue | grep -v l").out;
    listed.lines().map(str::to_owned).collect()
}

fn cnitool_attaches_a_namespace() {
    let test = "cnitool_attaches_a_namespace";
    if !has_reference(test) {
        return;
    }
    if let Some(what) = Cnitool::missing() {
        return skip(test, &format!("needs {what}"));
    }
    let host = Host::new("zubi");
    cover("/var/lib/cni").expect("/var/lib/cni");
    let tool = Cnitool::new(REFERENCE, write_network());
    host.shell("ip netns add c1").ok();
    let ports = json!([{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }]);
    let at = Attachment::new("c1", "c1").ifname("eth7").capability("portMappings", ports);
    let result = tool.attachment("add", "blue", &at).ok().json();
    assert_eq!(result["ips"][0]["address"], "10.55.66.2/24");
    host.shell("ip netns exec c1 ping -c 1 -W 5 -I eth7 10.55.66.1").ok();
    assert!(host.shell("iptables-save").ok().out.contains("8080"));
    tool.attachment("del", "blue", &at).ok();
    assert_eq!(leases(&host), [""; 0]);
    // Without ports: CHECK of portmap looks for an IPv6 rule that it never made.
    let plain = Attachment::new("c1", "c1");
    tool.attachment("add", "blue", &plain).ok();
    tool.attachment("check", "blue", &plain).ok();
    host.shell("ip -n c1 link del eth0").ok();
    tool.attachment("check", "blue", &plain).fails(1, "eth0");
}

/// containerd with the reference plug-ins.
fn containerd(test: &str) -> Option<(Host, Containerd)> {
    if !has_reference(test) {
        return None;
    }
    if let Some(package) = Containerd::missing().or_else(Cri::missing) {
        skip(test, &format!("needs the package {package}"));
        return None;
    }
    let started = Containerd::start_with_cni(Path::new(REFERENCE), write_network(), &[]);
    Some((Host::new("zubi"), started.unwrap_or_else(|why| panic!("{why}"))))
}

fn ctr_attaches_a_task_and_detaches_it() {
    let Some((host, containerd)) = containerd("ctr_attaches_a_task_and_detaches_it") else { return };
    let _outside = Outside::new();
    containerd.run_cni("c1", &[]).ok();
    containerd.exec("c1", "/bin/ping -c 1 -W 5 10.55.66.1").ok();
    containerd.exec("c1", &format!("/bin/ping -c 1 -W 5 {}", Outside::V4)).ok();
    assert_eq!(leases(&host), ["10.55.66.2"]);
    let seen = containerd.run_cni_to_end("c2", "/bin/ip -4 -o addr show dev eth0", &[]).ok();
    assert!(seen.out.contains("10.55.66.3/24"), "{}", seen.out);
    assert_eq!(leases(&host), ["10.55.66.2"]);
    containerd.remove("c1");
}

/// A larger number finds races; for the harness a few will do.
const PODS: usize = 5;

fn sandboxes_of_pods_are_run_stopped_and_removed() {
    let Some((host, containerd)) = containerd("sandboxes_of_pods_are_run_stopped_and_removed") else { return };
    let cri = containerd.cri();
    host.wait_for("test -n \"$(ls /run/net.d)\"");
    let conditions = cri.runtime_status().expect("status")["status"]["conditions"].take();
    assert!(conditions.as_array().expect("conditions").iter().all(|c| c["status"] == 1), "{conditions:#}");
    let mut pods: Vec<PodConfig> = (0..PODS).map(|n| PodConfig::new(&format!("pod{n}"))).collect();
    pods[0] = PodConfig::new("pod0").port(8080, 80, "TCP").annotation("a", "b");
    let ids: Result<Vec<String>, String> = cri.run(&pods).into_iter().collect();
    let ids = ids.unwrap_or_else(|why| panic!("{why}\n{}", Containerd::log_tail()));
    let addresses: BTreeSet<String> = ids.iter().flat_map(|id| cri.addresses(id)).collect();
    assert_eq!(addresses, (2..2 + PODS).map(|n| format!("10.55.66.{n}")).collect());
    assert_eq!(leases(&host).into_iter().collect::<BTreeSet<_>>(), addresses);
    assert!(host.shell("iptables-save").ok().out.contains("8080"));
    host.shell(&format!("nsenter -t {} -n ping -c 1 -W 5 10.55.66.1", cri.pid(&ids[0]))).ok();
    for done in cri.stop(&ids).into_iter().chain(cri.remove(&ids)) {
        done.unwrap_or_else(|why| panic!("{why}\n{}", Containerd::log_tail()));
    }
    assert_eq!(leases(&host), [""; 0]);
    assert!(cri.status(&ids[0]).expect_err("a removed sandbox").starts_with("NOT_FOUND"));
}

fn podman(test: &str, config: PodmanConfig) -> Option<(Host, Podman)> {
    if let Some(package) = Podman::missing() {
        skip(test, &format!("needs the package {package}"));
        return None;
    }
    let podman = Podman::start(config).unwrap_or_else(|why| panic!("{why}"));
    Some((Host::new("zubi"), podman))
}

/// Answers one connection to port 80 of `c1`.
fn serve(host: &Host, podman: &Podman) {
    podman.ok("exec -d c1 nc -l -p 80 -e echo served");
    let pid = podman.inspect("c1")["State"]["Pid"].clone();
    host.wait_for(&format!("grep -q ':0050 .* 0A ' /proc/{pid}/net/tcp /proc/{pid}/net/tcp6"));
}

/// What both backends can do.
fn networks_work(host: &Host, podman: &Podman) {
    let _outside = Outside::new();
    podman.ok("network create --subnet 10.55.66.0/24 blue");
    podman.ok("network create --subnet 10.55.77.0/24 green");
    podman.ok("run -d --name c1 --network blue -p 8080:80 busybox sleep 1000");
    assert_eq!(podman.address("c1", "blue"), "10.55.66.2");
    podman.ok("exec c1 ping -c 1 -W 5 10.55.66.1");
    podman.ok(&format!("exec c1 ping -c 1 -W 5 {}", Outside::V4));
    serve(host, podman);
    let served = host.shell("ip netns exec outside busybox nc -w 2 192.0.2.1 8080").ok();
    assert_eq!(served.out.trim(), "served");

    podman.ok("network connect green c1");
    podman.ok("exec c1 ping -c 1 -W 5 10.55.77.1");
    podman.ok("network disconnect green c1");
    podman.ok("network reload c1");
    assert_eq!(podman.address("c1", "blue"), "10.55.66.2");
    podman.ok("exec c1 ping -c 1 -W 5 10.55.66.1");
    podman.ok("restart -t 0 c1");
    podman.ok("exec c1 ping -c 1 -W 5 10.55.66.1");

    podman.ok("pod create --name p1 --network blue");
    podman.ok("run -d --pod p1 --name in-p1 busybox sleep 1000");
    // A restarted container may have another address.
    podman.ok(&format!("exec in-p1 ping -c 1 -W 5 {}", podman.address("c1", "blue")));
    let kube = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: k1\nspec:\n  containers:\n  - name: web\n    \
                image: localhost/busybox\n    imagePullPolicy: Never\n    command: [/bin/sleep, '1000']\n";
    podman.play_kube(kube).ok();
    podman.ok(&format!("exec k1-web /bin/ping -c 1 -W 5 {}", Outside::V4));
    podman.ok("pod rm -f -t 0 p1 k1");
    podman.ok("rm -f -t 0 c1");
    podman.ok("network rm blue green");
    assert!(!host.shell("iptables-save").ok().out.contains("8080"));
}

fn podman_with_netavark_works() {
    let test = "podman_with_netavark_works";
    if !Path::new(Podman::HELPERS).join("netavark").is_file() {
        return skip(test, "needs the package netavark");
    }
    let backend = Backend::Netavark { helpers: Podman::HELPERS.into() };
    let Some((host, podman)) = podman(test, PodmanConfig::new(backend)) else { return };
    networks_work(&host, &podman);
}

fn podman_with_plugins_works() {
    let test = "podman_with_plugins_works";
    if !has_reference(test) {
        return;
    }
    let conf = PathBuf::from(CONF);
    fs::create_dir_all(&conf).expect(CONF);
    let backend = Backend::Cni { plugins: REFERENCE.into(), conf };
    let Some((host, podman)) = podman(test, PodmanConfig::new(backend)) else { return };
    networks_work(&host, &podman);
}

fn podman_without_root_works() {
    let test = "podman_without_root_works";
    if let Some(what) = Podman::missing_rootless() {
        return skip(test, &format!("needs {what}"));
    }
    let backend = Backend::Netavark { helpers: Podman::HELPERS.into() };
    let podman = Podman::start_rootless(PodmanConfig::new(backend)).unwrap_or_else(|why| panic!("{why}"));
    let _outside = Outside::new();
    let _service = Service::start(Outside::NAME, 70);
    podman.ok("network create --subnet 10.55.66.0/24 blue");
    podman.ok("run -d --name c1 --network blue -p 8080:80 busybox sleep 1000");
    podman.ok("exec c1 ping -c 1 -W 5 10.55.66.1");
    // A user's connections leave through a program on the host, with the host's address.
    let heard = podman.ok(&format!("exec c1 nc -w 5 {} 70", Outside::V4));
    assert_eq!(heard, "outside 192.0.2.1");
    let host = Host::new("zubi");
    serve(&host, &podman);
    assert_eq!(host.shell("busybox nc -w 2 127.0.0.1 8080").ok().out.trim(), "served");
    // None of it is visible on the host.
    assert_eq!(host.shell("ip -br link show type bridge").ok().out, "");
    assert!(!host.shell("iptables-save").ok().out.contains("8080"));
    podman.ok("rm -f -t 0 c1");
    podman.ok("network rm blue");
}

/// The test's folder has a program that stands before Debian's: it gets the variables that Podman passes on.
fn podman_s_backend_gets_the_environment_of_the_test() {
    let test = "podman_s_backend_gets_the_environment_of_the_test";
    if !Path::new(Podman::HELPERS).join("netavark").is_file() {
        return skip(test, "needs the package netavark");
    }
    let helpers = PathBuf::from("/run/helpers");
    fs::create_dir(&helpers).expect("folder");
    let script = "#!/bin/sh\necho \"$ZUBI_PROOF $*\" >> /run/heard\nexec /usr/lib/podman/netavark \"$@\"\n";
    fs::write(helpers.join("netavark"), script).expect("script");
    let config = PodmanConfig::new(Backend::Netavark { helpers }).env("ZUBI_PROOF", "passed-through");
    let Some((host, podman)) = podman(test, config) else { return };
    host.shell("chmod +x /run/helpers/netavark").ok();
    podman.ok("run --name c1 busybox ping -c 1 -W 5 10.88.0.1");
    podman.ok("start -a c1");
    let heard = fs::read_to_string("/run/heard").expect("heard");
    assert_eq!(heard.lines().count(), 4, "{heard}");
    assert!(heard.lines().all(|line| line.starts_with("passed-through")), "{heard}");
}

zubi_lab::root_tests!(
    cnitool_attaches_a_namespace,
    ctr_attaches_a_task_and_detaches_it,
    sandboxes_of_pods_are_run_stopped_and_removed,
    podman_with_netavark_works,
    podman_with_plugins_works,
    podman_without_root_works,
    podman_s_backend_gets_the_environment_of_the_test,
);
