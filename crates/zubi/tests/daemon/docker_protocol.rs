//! Docker's plug-in socket without a Docker: what any client may send, in any order, with the daemon killed in between.

use serde_json::{Value, json};
use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use zubi_lab::{Host, Snapshot, ZubiDaemon, assert_reaches};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const DAEMON: &str = env!("CARGO_BIN_EXE_zubi-daemon");
const SOCKET: &str = "/run/docker/plugins/zubi.sock";

fn network() -> String {
    "5c".repeat(32)
}

fn start(host: &Host) -> ZubiDaemon {
    let daemon = ZubiDaemon::start(host, DAEMON);
    host.wait_for(&format!("ss -xlH src {SOCKET} | grep -q ."));
    daemon
}

fn connect() -> UnixStream {
    let stream = UnixStream::connect(SOCKET).expect(SOCKET);
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("timeout");
    stream
}

/// Sends bytes, and reads one answer: its status and body. `None` when the connection is closed instead.
fn send(stream: &mut UnixStream, bytes: &[u8]) -> Option<(u16, String)> {
    stream.write_all(bytes).ok()?;
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => read.push(byte[0]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => panic!("no answer: {}", ZubiDaemon::log()),
            _ => return None,
        }
    }
    let head = String::from_utf8(read).expect("a head");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    let lower = head.to_lowercase();
    let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((status, String::from_utf8(body).expect("a body")))
}

fn request(method: &str, head: &str, body: &str) -> String {
    format!("POST /{method} HTTP/1.1\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Asks as Docker does.
#[track_caller]
fn ask(method: &str, body: &Value) -> Value {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let answer = send(&mut connect(), request(method, "Host: plugin.moby.localhost\r\n", &text).as_bytes());
    let (status, body) = answer.expect("an answer");
    assert_eq!(status, 200, "{method}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|e| panic!("{method}: {e}: {body}"))
}

/// Asks, and fails unless it is a success.
#[track_caller]
fn done(method: &str, body: &Value) -> Value {
    let answer = ask(method, body);
    let error = if method.starts_with("Ipam") { "Error" } else { "Err" };
    assert!(answer[error].is_null(), "{method}: {answer}\n{}", ZubiDaemon::log());
    answer
}

fn any_head_and_body_get_an_answer() {
    let host = Host::new(ZUBI);
    let _daemon = start(&host);
    let activate = |head: &str| send(&mut connect(), request("Plugin.Activate", head, "").as_bytes());
    for head in ["", "Host:\r\n", "Host: \r\n", "Host: /run/docker/plugins/zubi.sock\r\n", "Host: %2Frun%2Fx:0 y\r\n"] {
        let (status, body) = activate(head).unwrap_or_else(|| panic!("{head:?} gets no answer"));
        assert_eq!((status, body.as_str()), (200, r#"{"Implements":["NetworkDriver","IpamDriver"]}"#), "{head:?}");
    }
    let mut stream = connect();
    for _ in 0..3 {
        let text = request("NetworkDriver.GetCapabilities", "", "");
        assert_eq!(send(&mut stream, text.as_bytes()).expect("kept alive").0, 200);
    }
    let chunked = "POST /IpamDriver.ReleasePool HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
                   c\r\n{\"PoolID\":\"x\r\n2\r\n\"}\r\n0\r\n\r\n";
    assert_eq!(send(&mut stream, chunked.as_bytes()), Some((200, "{}".into())));
    for (method, key) in [
        ("NetworkDriver.CreateNetwork", "Err"),
        ("NetworkDriver.DeleteNetwork", "Err"),
        ("NetworkDriver.CreateEndpoint", "Err"),
        ("NetworkDriver.Join", "Err"),
        ("NetworkDriver.ProgramExternalConnectivity", "Err"),
        ("IpamDriver.RequestPool", "Error"),
        ("IpamDriver.RequestAddress", "Error"),
    ] {
        for body in ["", "[]", "{", "null", "{\"NetworkID\":7,\"PoolID\":7,\"Pool\":7}"] {
            let (status, answer) = send(&mut connect(), request(method, "", body).as_bytes()).expect("an answer");
            let answer: Value = serde_json::from_str(&answer).expect("JSON");
            assert!(status == 200 && answer[key].is_string(), "{method} {body}: {answer}");
        }
    }
    assert_eq!(send(&mut connect(), request("NetworkDriver.Fly", "", "{}").as_bytes()).expect("an answer").0, 404);
    assert_eq!(send(&mut connect(), b"GET /Plugin.Activate HTTP/1.1\r\n\r\n").expect("an answer").0, 405);
    // Something else than HTTP, and clients that break off.
    send(&mut connect(), b"\x16\x03\x01\r\n\r\n");
    connect().write_all(b"POST /Plugin.Act").expect("half a request");
    connect().write_all(b"POST /Plugin.Activate HTTP/1.1\r\nContent-Length: 9\r\n\r\n{").expect("half a body");
    let large = "POST /NetworkDriver.Join HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n";
    connect().write_all(large.as_bytes()).expect("the head of a large body");
    assert_eq!(activate("").expect("an answer").0, 200);
}

fn connections_are_bounded_and_new_ones_are_served() {
    let host = Host::new(ZUBI);
    let daemon = start(&host);
    let idle: Vec<UnixStream> = (0..900).map(|_| connect()).collect();
    assert_eq!(ask("Plugin.Activate", &Value::Null)["Implements"][0], "NetworkDriver");
    let open = host.shell(&format!("ls /proc/{}/fd | wc -l", daemon.pid())).ok().out;
    let open: usize = open.trim().parse().expect("a number");
    assert!(open < 400, "{open} descriptors are open");
    drop(idle);
    let threads: Vec<_> = (0..20)
        .map(|_| std::thread::spawn(|| done("IpamDriver.RequestPool", &json!({"Pool": "", "V6": false}))))
        .collect();
    let mut pools: Vec<String> =
        threads.into_iter().map(|one| one.join().expect("an answer")["PoolID"].to_string()).collect();
    pools.sort();
    pools.dedup();
    assert_eq!(pools.len(), 20, "requests at once get different pools: {pools:?}");
}

/// The steps of a network with one container, in Docker's order. `step` is called for each request.
fn life(host: &Host, endpoint: &str, sandbox: &str, step: &dyn Fn(&str, Value) -> Value) {
    let pool = step("IpamDriver.RequestPool", json!({"AddressSpace": "zubi", "Pool": "10.90.0.0/24", "V6": false}));
    let pool = pool["PoolID"].clone();
    let kind = json!({"RequestAddressType": "com.docker.network.gateway"});
    step("IpamDriver.RequestAddress", json!({"PoolID": pool, "Address": "", "Options": kind}));
    let data = json!([{"AddressSpace": "zubi", "Pool": "10.90.0.0/24", "Gateway": "10.90.0.1/24"}]);
    step(
        "NetworkDriver.CreateNetwork",
        json!({"NetworkID": network(), "IPv4Data": data, "IPv6Data": [], "Options": {}}),
    );
    let address = json!({"PoolID": pool, "Address": "10.90.0.7", "Options": {}});
    let given = step("IpamDriver.RequestAddress", address)["Address"].clone();
    assert_eq!(given, "10.90.0.7/24");
    let of = |more: Value| {
        let mut body = json!({"NetworkID": network(), "EndpointID": endpoint});
        for (key, value) in more.as_object().expect("an object") {
            body[key] = value.clone();
        }
        body
    };
    let interface = json!({"Address": given, "AddressIPv6": "", "MacAddress": ""});
    let created = step("NetworkDriver.CreateEndpoint", of(json!({"Interface": interface})));
    assert_eq!(created, json!({"Interface": {"MacAddress": "02:42:0a:5a:00:07"}}));
    let joined = step("NetworkDriver.Join", of(json!({"SandboxKey": format!("/run/netns/{sandbox}")})));
    assert_eq!(joined["Gateway"], "10.90.0.1");
    // As Docker does: move, rename, set up.
    let device = joined["InterfaceName"]["SrcName"].as_str().expect("a device").to_owned();
    host.shell(&format!(
        "ip link set {device} netns {sandbox} && ip -n {sandbox} link set {device} name eth0 && \
         ip -n {sandbox} addr add 10.90.0.7/24 dev eth0 && ip -n {sandbox} link set eth0 up && \
         ip -n {sandbox} route add default via 10.90.0.1"
    ))
    .ok();
    let ports = json!([{"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 8080, "HostPortEnd": 8080}]);
    let options = json!({"com.docker.network.portmap": ports});
    step("NetworkDriver.ProgramExternalConnectivity", of(json!({"Options": options})));
    assert_reaches("host", sandbox, "10.90.0.7");
    assert_reaches(sandbox, "host", "10.90.0.1");
    assert_eq!(host.zubi("--json port ls").ok().json().as_array().map(Vec::len), Some(1));
    host.zubi("check").ok();
    host.zubi("gc").ok();
    assert_reaches("host", sandbox, "10.90.0.7");
    step("NetworkDriver.EndpointOperInfo", of(json!({})));
    step("NetworkDriver.RevokeExternalConnectivity", of(json!({})));
    assert_eq!(host.zubi("--json port ls").ok().json(), json!([]));
    step("NetworkDriver.Leave", of(json!({})));
    step("NetworkDriver.DeleteEndpoint", of(json!({})));
    step("IpamDriver.ReleaseAddress", json!({"PoolID": pool, "Address": "10.90.0.7"}));
    step("NetworkDriver.DeleteNetwork", json!({"NetworkID": network()}));
    step("IpamDriver.ReleaseAddress", json!({"PoolID": pool, "Address": "10.90.0.1"}));
    step("IpamDriver.ReleasePool", json!({"PoolID": pool}));
}

fn each_request_may_come_twice() {
    let host = Host::new(ZUBI);
    let _daemon = start(&host);
    host.zubi("sandbox add c1").ok();
    let before = Snapshot::take();
    life(&host, &"e1".repeat(32), "c1", &|method, body| {
        let first = done(method, &body);
        assert_eq!(done(method, &body), first, "{method}");
        first
    });
    host.settle();
    before.assert_no_residue(&Snapshot::take());
    host.zubi("check").ok();
}

fn the_daemon_is_killed_between_all_requests() {
    let host = Host::new(ZUBI);
    host.zubi("sandbox add c1").ok();
    let before = Snapshot::take();
    life(&host, &"e1".repeat(32), "c1", &|method, body| {
        let daemon = start(&host);
        let answer = done(method, &body);
        // SIGKILL.
        drop(daemon);
        answer
    });
    // The last one left its sockets.
    start(&host).end(&host);
    host.settle();
    before.assert_no_residue(&Snapshot::take());
    host.zubi("check").ok();
}

/// Sends a request to daemons that are killed behind their first effect, their second, and so on, until one lives to
/// answer.
fn ask_the_dying(host: &Host, method: &str, body: &Value) {
    for step in 1..200 {
        let dying = host.with_env("ZUBI_FAULT", &format!("kill:{step}"));
        let mut daemon = ZubiDaemon::spawn(&dying, DAEMON);
        let text = request(method, "", &body.to_string());
        let mut answer = None;
        while daemon.lives() && answer.is_none() {
            // One that was killed left its socket.
            let Ok(mut stream) = UnixStream::connect(SOCKET) else { continue };
            answer = send(&mut stream, text.as_bytes());
        }
        if let Some((200, text)) = answer {
            assert!(!text.contains("Err"), "{method}: step {step}: {text}\n{}", ZubiDaemon::log());
            return;
        }
    }
    panic!("{method} is never done\n{}", ZubiDaemon::log());
}

fn the_daemon_is_killed_behind_each_effect_of_a_request() {
    let host = Host::new(ZUBI);
    host.zubi("sandbox add c1").ok();
    let before = Snapshot::take();
    life(&host, &"e1".repeat(32), "c1", &|method, body| {
        let is_work =
            ["CreateNetwork", "CreateEndpoint", "Join", "ProgramExternalConnectivity", "Leave", "DeleteNetwork"]
                .iter()
                .any(|one| method == format!("NetworkDriver.{one}"));
        if is_work {
            ask_the_dying(&host, method, &body);
        }
        let daemon = start(&host);
        let answer = done(method, &body);
        daemon.end(&host);
        answer
    });
    // What nobody reads: files that were being written.
    host.zubi("gc").ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
    host.zubi("check").ok();
}

/// Docker asks again for what it had before the boot, takes its endpoints back, and makes them anew.
fn after_a_reboot_docker_makes_its_endpoints_again() {
    let host = Host::new(ZUBI);
    host.shell("ip netns add c1").ok();
    let before = Snapshot::take();
    let daemon = Cell::new(Some(start(&host)));
    life(&host, &"e1".repeat(32), "c1", &|method, body| {
        if method != "NetworkDriver.RevokeExternalConnectivity" {
            return done(method, &body);
        }
        // The next boot: another boot id, no namespaces, devices or rules, and the state folder as it was.
        drop(daemon.take());
        host.shell(
            "ip netns del c1 && for one in $(ip -br link show type bridge | cut -d' ' -f1); do ip link del $one; done",
        )
        .ok();
        host.shell("nft delete table inet zubi; rm -r /run/zubi; sysctl -qw net.ipv4.ip_forward=0; ip netns add c1")
            .ok();
        daemon.set(Some(start(&host)));
        let pool = json!({"AddressSpace": "zubi", "Pool": "10.90.0.0/24", "V6": false});
        let pool = done("IpamDriver.RequestPool", &pool)["PoolID"].clone();
        let gateway = json!({"RequestAddressType": "com.docker.network.gateway"});
        let gateway = json!({"PoolID": pool, "Address": "10.90.0.1", "Options": gateway});
        assert_eq!(done("IpamDriver.RequestAddress", &gateway)["Address"], "10.90.0.1/24");
        for method in ["NetworkDriver.Leave", "NetworkDriver.DeleteEndpoint"] {
            done(method, &body);
        }
        let address = json!({"PoolID": pool, "Address": "10.90.0.7", "Options": {}});
        assert_eq!(done("IpamDriver.RequestAddress", &address)["Address"], "10.90.0.7/24");
        let mut again = body.clone();
        again["Interface"] = json!({"Address": "10.90.0.7/24"});
        again["SandboxKey"] = json!("/run/netns/c1");
        done("NetworkDriver.CreateEndpoint", &again);
        let joined = done("NetworkDriver.Join", &again);
        let device = joined["InterfaceName"]["SrcName"].as_str().expect("a device").to_owned();
        host.shell(&format!("ip link set {device} netns c1 && ip -n c1 addr add 10.90.0.7/24 dev {device}")).ok();
        host.shell(&format!("ip -n c1 link set {device} up")).ok();
        assert_reaches("host", "c1", "10.90.0.7");
        host.zubi("check").ok();
        done(method, &body)
    });
    drop(daemon.take());
    start(&host).end(&host);
    host.settle();
    before.assert_no_residue(&Snapshot::take());
    host.zubi("check").ok();
}

fn what_never_was_can_be_taken_away_and_nothing_is_done_out_of_order() {
    let host = Host::new(ZUBI);
    let _daemon = start(&host);
    let before = Snapshot::take();
    let (id, other) = ("e1".repeat(32), "never".to_owned());
    for network in [network(), other.clone()] {
        for endpoint in [&id, &other] {
            let of = json!({"NetworkID": network, "EndpointID": endpoint});
            for method in ["Leave", "DeleteEndpoint", "RevokeExternalConnectivity", "DeleteNetwork"] {
                assert_eq!(done(&format!("NetworkDriver.{method}"), &of), json!({}));
            }
        }
    }
    let of = json!({"NetworkID": network(), "EndpointID": id, "SandboxKey": "/run/netns/c1"});
    for method in ["CreateEndpoint", "Join"] {
        let answer = ask(&format!("NetworkDriver.{method}"), &of);
        assert!(answer["Err"].as_str().is_some_and(|why| why.contains("docker network rm and create")), "{answer}");
    }
    let data = json!([{"Pool": "10.90.0.0/24", "Gateway": "10.90.0.1/24"}]);
    let create = json!({"NetworkID": network(), "IPv4Data": data, "Options": {}});
    done("NetworkDriver.CreateNetwork", &create);
    // Join before CreateEndpoint.
    let answer = ask("NetworkDriver.Join", &of);
    assert!(answer["Err"].as_str().is_some_and(|why| why.contains("no endpoint reserved")), "{answer}");
    // An address that another one has.
    let interface = |address: &str| {
        let interface = json!({"Address": address});
        json!({"NetworkID": network(), "EndpointID": "ab".repeat(32), "Interface": interface})
    };
    host.zubi("sandbox add c1").ok();
    let name = format!("docker-{}", &network()[..12]);
    host.zubi(&format!("connect {name} c1 --ip 10.90.0.9")).ok();
    let answer = ask("NetworkDriver.CreateEndpoint", &interface("10.90.0.9/24"));
    assert!(answer["Err"].as_str().is_some_and(|why| why.contains("10.90.0.9 is taken by c1")), "{answer}");
    let answer = ask("NetworkDriver.CreateEndpoint", &interface("10.99.0.9/24"));
    assert!(answer["Err"].as_str().is_some_and(|why| why.contains("in no subnet")), "{answer}");
    host.zubi("sandbox rm c1").ok();
    done("NetworkDriver.DeleteNetwork", &create);
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn an_endpoint_that_nobody_fetches_is_given_up_by_its_address() {
    let host = Host::new(ZUBI);
    let _daemon = start(&host);
    let before = Snapshot::take();
    let data = json!([{"Pool": "10.90.0.0/24", "Gateway": "10.90.0.1/24"}]);
    let create = json!({"NetworkID": network(), "IPv4Data": data, "Options": {}});
    done("NetworkDriver.CreateNetwork", &create);
    let of = json!({
        "NetworkID": network(), "EndpointID": "e1".repeat(32), "SandboxKey": "/run/netns/c1",
        "Interface": {"Address": "10.90.0.7/24"},
    });
    done("NetworkDriver.CreateEndpoint", &of);
    done("NetworkDriver.Join", &of);
    assert_eq!(host.shell("ip -br link show type veth | grep -c ^z").ok().out.trim(), "2");
    host.zubi("check").ok();
    host.zubi("gc").ok();
    assert_eq!(host.shell("ip -br link show type veth | grep -c ^z").ok().out.trim(), "2", "it is on its way");
    // A Docker that was killed cleans up without telling the driver.
    done("IpamDriver.ReleaseAddress", &json!({"PoolID": "10.90.0.0/24", "Address": "10.90.0.7"}));
    host.settle();
    assert_eq!(host.zubi("--json ls").ok().json(), json!([]));
    done("NetworkDriver.DeleteNetwork", &create);
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

zubi_lab::tests!(
    any_head_and_body_get_an_answer,
    connections_are_bounded_and_new_ones_are_served,
    each_request_may_come_twice,
    the_daemon_is_killed_between_all_requests,
    the_daemon_is_killed_behind_each_effect_of_a_request,
    after_a_reboot_docker_makes_its_endpoints_again,
    what_never_was_can_be_taken_away_and_nothing_is_done_out_of_order,
    an_endpoint_that_nobody_fetches_is_given_up_by_its_address,
);
