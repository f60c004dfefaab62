//! Each folder of `cases` holds a plug-in's name and variables (`env`), the document on stdin (`input.json`) and the
//! outcome (`expected`). Some hold another IPAM plug-in's result (`ipam.json`) or the engine's endpoint
//! (`endpoint.json`). `UPDATE_CASES=1` rewrites `expected`.

use serde_json::Value;
use std::fmt::{Debug, Display, Write};
use std::path::Path;
use zubi_cni::{
    Call, CniError, CniResult, Environment, Gc, Plugin, Share, Switch, Task, Tune, Verb, Wire, WireNetwork, about,
    parse, versions,
};
use zubi_model::{
    Addressing, Broadcasts, Description, DhcpWishes, DriverDescription, Endpoint, Hairpin, IfName, Ipam, Naming,
    OtherGateway, Pool, Promiscuity, Scope, Traits,
};

#[test]
fn each_case_comes_out_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut folders: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 200, "{} cases", folders.len());
    let mut wrong = Vec::new();
    for folder in folders {
        let found = outcome(&folder);
        let file = folder.join("expected");
        if std::env::var_os("UPDATE_CASES").is_some() {
            std::fs::write(&file, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        if found != expected {
            wrong.push(format!("{}:\n--- expected\n{expected}\n--- found\n{found}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn outcome(folder: &Path) -> String {
    let variables = std::fs::read_to_string(folder.join("env")).unwrap();
    let variable = |name: &str| {
        let mut pairs = variables.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    let plugin = Plugin::named(&variable("PLUGIN").unwrap()).unwrap();
    let env = Environment::read(|name| variable(name).map(Into::into));
    let input = std::fs::read(folder.join("input.json")).unwrap();
    let document = |name: &str| std::fs::read(folder.join(name)).ok().map(|d| serde_json::from_slice(&d).unwrap());
    let mut text = String::new();
    let done = parse(plugin, &env, &input)
        .and_then(|call| show(&mut text, plugin, call, document("ipam.json").as_ref(), document("endpoint.json")));
    if let Err(error) = done {
        writeln!(text, "error {}", pretty(&error.to_json())).unwrap();
    }
    text
}

fn pretty(document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap()
}

/// Writes a line, unless the value is the usual one.
fn unusual<T: PartialEq + Debug>(text: &mut String, what: &str, value: &T, usual: &T) {
    if value != usual {
        writeln!(text, "  {what} {value:?}").unwrap();
    }
}

fn line(text: &mut String, what: impl Display) {
    writeln!(text, "  {what}").unwrap();
}

fn show(
    text: &mut String,
    plugin: Plugin,
    call: Call,
    ipam: Option<&Value>,
    endpoint: Option<Value>,
) -> Result<(), CniError> {
    let version = call.version;
    let (name, mut task) = match call.verb {
        Verb::Version => {
            writeln!(text, "version {}", pretty(&versions(plugin, version))).unwrap();
            return Ok(());
        }
        Verb::Nothing => {
            writeln!(text, "nothing\n{}", about(plugin)).unwrap();
            return Ok(());
        }
        Verb::Gc(gc) => {
            show_gc(text, &gc);
            return Ok(());
        }
        Verb::Status(status) => {
            writeln!(text, "status of {}", status.network).unwrap();
            show_share(text, &status.share);
            return Ok(());
        }
        Verb::Add(task) => ("add", task),
        Verb::Del(task) => ("del", task),
        Verb::Check(task) => ("check", task),
    };
    assert!(task.stdin.is_object());
    writeln!(text, "{name} {} in {}, answered in {version}", task.ifname, task.container).unwrap();
    line(text, format!("of {}", task.network));
    unusual(text, "namespace", &task.netns, &None);
    unusual(text, "path", &task.path, &Vec::new());
    if let (Share::Wire(wire), Some(ipam)) = (&mut task.share, ipam) {
        show_wire(text, wire);
        line(text, "-- with the other plug-in's addresses");
        **wire = wire.clone().with_ipam_result(&CniResult::parse(ipam)?)?;
    }
    show_share(text, &task.share);
    let mut result = answer(&task, endpoint);
    if let Some(previous) = &task.previous {
        result = Some(result.unwrap_or_default().after(previous.clone()));
    }
    if let Some(result) = result {
        writeln!(text, "result {}", pretty(&result.render(version)?)).unwrap();
    }
    Ok(())
}

fn answer(task: &Task, endpoint: Option<Value>) -> Option<CniResult> {
    let netns = task.netns.as_ref().and_then(|n| n.to_str()).unwrap_or_default();
    match &task.share {
        Share::Wire(wire) => {
            let endpoint: Endpoint = serde_json::from_value(endpoint?).unwrap();
            let bridge_mac = Some("02:00:00:00:00:01".parse().unwrap());
            Some(CniResult::of_endpoint(&endpoint, bridge_mac, netns, wire))
        }
        Share::Loopback => Some(CniResult::of_loopback(netns, &[zubi_model::Family::V4, zubi_model::Family::V6])),
        Share::Fixed(fixed) => Some(fixed.result()),
        Share::Reserve(_) | Share::Publish(_) | Share::IngressPolicy(_) | Share::Tune(_) => None,
    }
}

fn show_gc(text: &mut String, gc: &Gc) {
    writeln!(text, "gc of {}", gc.network).unwrap();
    match &gc.valid {
        None => line(text, "no list of valid attachments"),
        Some(valid) => {
            line(text, format!("{} valid", valid.len()));
            for one in valid {
                line(text, format!("  {} in {}", one.ifname, one.container));
            }
        }
    }
    show_share(text, &gc.share);
}

fn show_share(text: &mut String, share: &Share) {
    match share {
        Share::Wire(wire) => show_wire(text, wire),
        Share::Loopback => line(text, "loopback"),
        Share::Reserve(reserve) => {
            for set in &reserve.sets {
                show_set(text, set);
            }
            unusual(text, "wanted", &reserve.wanted, &Vec::new());
            for route in &reserve.routes {
                line(text, format!("listed {} via {:?}", route.dst, route.gw));
            }
            unusual(text, "resolv.conf", &reserve.resolv_conf, &None);
            unusual(text, "data in", &reserve.data_dir, &None);
        }
        Share::Fixed(fixed) => {
            for a in &fixed.addresses {
                line(text, format!("address {}, gateway {:?}", a.address, a.gateway));
            }
        }
        Share::Publish(publish) => {
            line(text, format!("sources {:?}", publish.source));
            for port in &publish.ports {
                line(text, format!("port {port}"));
            }
        }
        Share::IngressPolicy(police) => line(text, format!("ingress {:?}, icc {:?}", police.ingress, police.icc)),
        Share::Tune(tune) => show_tune(text, tune),
    }
}

fn show_set(text: &mut String, set: &[Pool]) {
    line(text, "one of");
    for pool in set {
        line(text, format!("  {}", pool_line(pool)));
    }
}

fn pool_line(pool: &Pool) -> String {
    let gateway = pool.gateway.map_or("none".into(), |g| g.to_string());
    let but: Vec<String> = pool.exclude.iter().map(|e| format!(", not {e}")).collect();
    format!("{}, gateway {gateway} at {:?}{}", pool.subnet, pool.gateway_at, but.concat())
}

fn show_tune(text: &mut String, tune: &Tune) {
    for (path, value) in &tune.sysctls {
        line(text, format!("setting {path} = {value}"));
    }
    unusual(text, "mac", &tune.mac, &None);
    unusual(text, "mtu", &tune.mtu, &None);
    unusual(text, "promisc", &tune.promisc, &None);
    unusual(text, "allmulti", &tune.allmulti, &None);
    unusual(text, "tx queue", &tune.tx_queue_len, &None);
    unusual(text, "data in", &tune.data_dir, &None);
}

fn show_description(text: &mut String, of: &Description) {
    match &of.driver {
        DriverDescription::Bridge(bridge) => {
            line(text, format!("network {} on bridge {}, {:?}", of.name, bridge.device, bridge.foreign));
        }
        DriverDescription::Macvlan(macvlan) => {
            let card = macvlan.parent.as_ref().map_or("of the default route", IfName::as_str);
            line(text, format!("network {} on card {card}, {}", of.name, macvlan.mode));
            unusual(text, "broadcasts", &macvlan.broadcasts, &Broadcasts::default());
        }
        DriverDescription::HostDevice(part) => {
            line(text, format!("network {} with device {}, {:?}", of.name, part.device, part.way_out));
        }
        DriverDescription::Ovs(ovs) => line(text, format!("network {} on bridge {}", of.name, ovs.bridge)),
    }
    unusual(text, "mtu", &of.mtu, &None);
    for pool in &of.pools {
        line(text, format!("pool {}", pool_line(pool)));
    }
    unusual(text, "chosen subnets", &of.families, &Vec::new());
    unusual(text, "scope", &of.scope, &Scope::Routed);
    line(text, format!("egress {:?}", of.egress));
    unusual(text, "ipam", &of.ipam, &Ipam::Pools);
    unusual(text, "naming", &of.naming, &Naming::off());
    if let DriverDescription::Bridge(bridge) = &of.driver {
        unusual(text, "icc", &bridge.icc, &None);
        unusual(text, "ingress", &bridge.ingress, &None);
        unusual(text, "hairpin", &bridge.hairpin, &Hairpin::Published);
        unusual(text, "promiscuity", &bridge.promiscuity, &Promiscuity::Off);
    }
    unusual(text, "other gateway", &of.other_gateway, &OtherGateway::Refused);
}

fn show_wire(text: &mut String, wire: &Wire) {
    match &wire.network {
        WireNetwork::Described(description) => show_description(text, description),
        WireNetwork::Named(name) => line(text, format!("the network {name}")),
    }
    unusual(text, "device", &wire.device, &None);
    let wishes = &wire.wishes;
    line(text, format!("{:?} in {:?}, mac {:?}", wishes.ifname.as_ref(), wishes.called, wishes.mac));
    unusual(text, "traits", &wishes.traits, &Traits::default());
    line(text, format!("ipam {:?}", wire.ipam));
    match &wishes.addressing {
        Addressing::Network => line(text, "addresses of the network"),
        Addressing::Given(given) => {
            for a in given {
                line(text, format!("address {}, gateway {:?}", a.address, a.gateway));
            }
        }
        Addressing::Sets(sets) => sets.iter().for_each(|set| show_set(text, set)),
    }
    unusual(text, "wanted", &wishes.addresses, &Vec::new());
    unusual(text, "dhcp", &wishes.dhcp, &DhcpWishes::default());
    unusual(text, "gateways are the default", &wire.default_gateway, &Switch::Off);
    line(text, format!("default route {:?}", wishes.default_route));
    for route in &wishes.routes {
        line(text, format!("route {route} {:?}", route.options));
    }
    for route in &wire.routes {
        line(text, format!("listed {} via {:?}", route.dst, route.gw));
    }
    if !wire.dns.is_empty() {
        line(text, format!("dns {:?}", wire.dns));
    }
    unusual(text, "resolv.conf", &wire.resolv_conf, &None);
    unusual(text, "data in", &wire.data_dir, &None);
    for alias in &wishes.aliases {
        line(text, format!("alias {alias}"));
    }
    for port in &wishes.ports {
        line(text, format!("port {port}"));
    }
    if let Some(tune) = &wire.tune {
        show_tune(text, tune);
    }
}
