//! The figures that Prometheus reads.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;
use zubi_lab::{Host, ZubiDaemon};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const DAEMON: &str = env!("CARGO_BIN_EXE_zubi-daemon");
/// Debian's package python3-prometheus-client, the strict reader of the format.
const PARSER: &str = "/usr/lib/python3/dist-packages/prometheus_client/openmetrics/parser.py";
/// Prints what the parser makes of a text: a list of samples, each a name, its labels and a value.
const READ: &str = "import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read
print(json.dumps([[s.name, s.labels, int(s.value)] for family in read(sys.stdin.read()) for s in family.samples]))
";

/// What Prometheus would have read.
struct Samples(Vec<Value>);

impl Samples {
    #[track_caller]
    fn read(host: &Host, from: &str) -> Samples {
        fs::write("/run/read.py", READ).expect("a program");
        let asked = format!("curl -sf {from} | /usr/bin/python3 /run/read.py");
        Samples(host.shell(&asked).ok().json().as_array().expect("a list").clone())
    }

    /// Of all networks and sandboxes; now, though the text of a moment ago is answered for a while.
    #[track_caller]
    fn now(host: &Host) -> Samples {
        std::thread::sleep(Duration::from_millis(1100));
        Samples::read(host, "--unix-socket /run/zubi/metrics.sock http://localhost/metrics")
    }

    /// The value of the sample with these labels, among others.
    #[track_caller]
    fn of(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let is_it =
            |sample: &&Value| sample[0] == name && labels.iter().all(|(label, value)| sample[1][*label] == **value);
        let found: Vec<&Value> = self.0.iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?}: {:?}", self.0);
        found[0][2].as_u64().expect("a number")
    }
}

/// Whether there is the parser. If not, the test is recorded as skipped and should return.
fn has_parser(test: &str) -> bool {
    let has = Path::new(PARSER).is_file();
    if !has {
        zubi_lab::skip(test, "needs the package python3-prometheus-client");
    }
    has
}

fn networks_addresses_endpoints_and_their_traffic_are_told() {
    if !has_parser("networks_addresses_endpoints_and_their_traffic_are_told") {
        return;
    }
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24 --ip-range 10.55.66.128/26");
    host.network("back --subnet 10.77.0.0/24 --internal");
    host.container("c1", "blue");
    host.container("c2", "blue");
    let _daemon = ZubiDaemon::start(&host, DAEMON);
    host.settle();
    let before = Samples::now(&host);
    assert_eq!(before.of("zubi_networks", &[("driver", "bridge")]), 2);
    assert_eq!(before.of("zubi_pool_addresses", &[("network", "blue"), ("subnet", "10.55.66.0/24")]), 64);
    assert_eq!(before.of("zubi_pool_addresses", &[("network", "back")]), 254);
    assert_eq!(before.of("zubi_pool_addresses_taken", &[("network", "blue")]), 2);
    assert_eq!(before.of("zubi_endpoints", &[("network", "blue"), ("state", "up")]), 2);
    host.shell("ip netns exec c1 ping -q -c 10 -i 0.01 -s 1000 -W 1 10.55.66.129").ok();
    let after = Samples::now(&host);
    let grown = |what: &str, sandbox: &str| {
        let of = [("network", "blue"), ("sandbox", sandbox), ("device", "eth0")];
        after.of(what, &of) - before.of(what, &of)
    };
    // An echo of 1000 bytes is a frame of 1042; ARP may come on top.
    for sandbox in ["c1", "c2"] {
        for way in ["receive", "transmit"] {
            let bytes = grown(&format!("zubi_endpoint_{way}_bytes_total"), sandbox);
            assert!((10_420..11_500).contains(&bytes), "{sandbox} {way}: {bytes}");
            let packets = grown(&format!("zubi_endpoint_{way}_packets_total"), sandbox);
            assert!((10..20).contains(&packets), "{sandbox} {way}: {packets}");
        }
    }
    // One way only: what is sent into nothing comes back from nowhere.
    host.shell("ip -n c1 neighbour add 10.55.66.200 lladdr 02:00:00:00:00:77 dev eth0").ok();
    let unanswered = host.shell("ip netns exec c1 ping -q -c 5 -i 0.01 -s 1400 -W 1 10.55.66.200");
    assert_ne!(unanswered.code, 0, "{}", unanswered.out);
    let last = Samples::now(&host);
    let of = [("sandbox", "c1")];
    let sent = last.of("zubi_endpoint_transmit_bytes_total", &of) - after.of("zubi_endpoint_transmit_bytes_total", &of);
    let received =
        last.of("zubi_endpoint_receive_bytes_total", &of) - after.of("zubi_endpoint_receive_bytes_total", &of);
    assert!(sent > 7000 && received < 1000, "{sent} {received}");
}

fn repairs_and_questions_are_counted_by_their_outcome() {
    if !has_parser("repairs_and_questions_are_counted_by_their_outcome") {
        return;
    }
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.container("c1", "blue");
    let _daemon = ZubiDaemon::start(&host, DAEMON);
    host.shell("ip netns exec c1 dig +short +tries=1 c1 @10.55.66.1").ok();
    host.shell("ip netns exec c1 dig +short +tries=1 -x 10.55.66.9 @10.55.66.1").ok();
    host.shell("ip netns exec c1 dig +short +tries=1 c1 TXT @10.55.66.1").ok();
    host.shell("nft flush ruleset").ok();
    ZubiDaemon::says("part=\"heal\"");
    let samples = Samples::now(&host);
    assert_eq!(samples.of("zubi_dns_questions_total", &[("outcome", "found")]), 1);
    assert_eq!(samples.of("zubi_dns_questions_total", &[("outcome", "unknown")]), 1);
    assert_eq!(samples.of("zubi_dns_questions_total", &[("outcome", "empty")]), 1);
    assert!(samples.of("zubi_repairs_total", &[("object", "firewall")]) > 0);
    assert!(samples.of("zubi_healing_seconds_count", &[]) > 0);
    assert_eq!(samples.of("zubi_part_failing", &[("part", "heal")]), 0);
}

fn an_address_of_the_loopback_device_serves_them_too_and_no_other_address_may() {
    if !has_parser("an_address_of_the_loopback_device_serves_them_too_and_no_other_address_may") {
        return;
    }
    let host = Host::new(ZUBI).with_env("ZUBI_CONFIG", "/run/config.json");
    fs::write("/run/config.json", "{\"metrics-addr\": \"10.0.0.1:9323\"}").expect("settings");
    assert_eq!(ZubiDaemon::spawn(&host, DAEMON).ended(), Some(2));
    ZubiDaemon::says("metrics-addr 10.0.0.1:9323: has to be an address of the loopback device");
    fs::write("/run/config.json", "{}").expect("settings");
    let daemon = ZubiDaemon::start(&host, DAEMON);
    assert_ne!(host.shell("curl -s http://127.0.0.1:9323/metrics").code, 0);
    fs::write("/run/config.json", "{\"metrics-addr\": \"127.0.0.1:9323\"}").expect("settings");
    host.shell(&format!("kill -HUP {}", daemon.pid())).ok();
    host.wait_for("curl -sf http://127.0.0.1:9323/metrics");
    Samples::read(&host, "http://127.0.0.1:9323/metrics").of("zubi_build_info", &[]);
    let status = |words: &str| host.shell(&format!("curl -s -o /dev/null -w '%{{http_code}}' {words}")).ok().out;
    assert_eq!(status("http://127.0.0.1:9323/"), "404");
    assert_eq!(status("-X POST http://127.0.0.1:9323/metrics"), "405");
    assert_eq!(daemon.end(&host), Some(0));
    assert!(!fs::exists("/run/zubi/metrics.sock").expect("the run folder"));
}

zubi_lab::tests!(
    networks_addresses_endpoints_and_their_traffic_are_told,
    repairs_and_questions_are_counted_by_their_outcome,
    an_address_of_the_loopback_device_serves_them_too_and_no_other_address_may
);
