//! Each folder of `cases` holds a request (`input.json`) or a command line (`args`: one word a line, the program's name
//! first) and the outcome (`expected`). `UPDATE_CASES=1` rewrites `expected`.

mod engine;

use std::ffi::OsString;
use std::fmt::Write;
use std::path::Path;
use zubi_model::{
    Addressing, BridgeMode, DriverDescription, ForeignBridge, IfName, Ipam, MacWish, Naming, NetworkId, Traits,
};
use zubi_netavark::{
    Attachment, Command, Error, Program, Target, error_reply, joined, parse_arguments, parse_request, setup, teardown,
    unsupported, update,
};

#[test]
fn each_case_comes_out_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut folders: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 60, "{} cases", folders.len());
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
    if let Ok(args) = std::fs::read_to_string(folder.join("args")) {
        return of_arguments(&args);
    }
    of_request(&std::fs::read(folder.join("input.json")).unwrap())
}

fn of_arguments(args: &str) -> String {
    let mut words = args.strip_suffix('\n').unwrap().split('\n');
    let program = match words.next().unwrap() {
        "netavark" => Program::Netavark,
        "aardvark-dns" => Program::AardvarkDns,
        other => panic!("{other}"),
    };
    match parse_arguments(program, words.map(OsString::from)) {
        Err(usage) => format!("stderr: {usage}\n"),
        Ok(Command::Unsupported(command)) => format!("{}\n", error_reply(&unsupported(command))),
        Ok(Command::Update { globals, network, servers }) => {
            let update = match update(&network, &servers) {
                Ok((network, servers)) => format!("servers of {network}: {servers:?}"),
                Err(e) => error_reply(&e),
            };
            format!("{globals:?}\n{update}\n")
        }
        Ok(Command::Help(text)) => text.to_owned(),
        Ok(command) => format!("{command:?}\n"),
    }
}

fn of_request(json: &[u8]) -> String {
    let request = match parse_request(json) {
        Ok(request) => request,
        Err(e) => return format!("{}\n", error_reply(&e)),
    };
    let mut text = String::new();
    match setup(&request) {
        Err(e) => writeln!(text, "setup\n{}", error_reply(&e)).unwrap(),
        Ok(attachments) => {
            writeln!(text, "setup").unwrap();
            for attachment in &attachments {
                show(&mut text, attachment).unwrap();
            }
            writeln!(text, "answer {}", engine::answer(&attachments)).unwrap();
        }
    }
    match teardown(&request) {
        Err(e) => writeln!(text, "teardown\n{}", error_reply(&e)).unwrap(),
        Ok(departure) => {
            writeln!(text, "teardown of {}", departure.called).unwrap();
            for left in departure.leaving {
                writeln!(text, "  {} ({})", left.network, left.name).unwrap();
            }
            let problems: Vec<Error> = departure.problems;
            if !problems.is_empty() {
                writeln!(text, "{}", error_reply(&joined("teardown", &problems))).unwrap();
            }
        }
    }
    text
}

fn show(text: &mut String, attachment: &Attachment) -> std::fmt::Result {
    let Attachment { network, name, wishes, publishing, dns_servers } = attachment;
    writeln!(text, "{name}: {} for {}", network.name(), wishes.called.as_deref().unwrap_or("?"))?;
    if let Target::Described(d) = network {
        match &d.driver {
            DriverDescription::Bridge(bridge) => {
                let mode = match bridge.foreign {
                    ForeignBridge::Adopted => BridgeMode::Adopted,
                    ForeignBridge::Required => BridgeMode::Unmanaged,
                };
                writeln!(text, "  bridge {}, if there is one: {mode:?}", bridge.device)?;
                writeln!(text, "  {:?}, {:?}, ingress {:?}, icc {:?}", d.scope, d.egress, bridge.ingress, bridge.icc)?;
            }
            DriverDescription::Macvlan(macvlan) => {
                let card = macvlan.parent.as_ref().map_or("of the default route", IfName::as_str);
                writeln!(text, "  {}s on card {card}, {}", macvlan.mode.kind(), macvlan.mode)?;
                if let Some(cutoff) = macvlan.broadcasts.cutoff {
                    writeln!(text, "  broadcasts wait where more than {cutoff} want them")?;
                }
                writeln!(text, "  {:?}, {:?}", d.scope, d.egress)?;
            }
            DriverDescription::Ovs(ovs) => writeln!(text, "  Open vSwitch bridge {}", ovs.bridge)?,
            DriverDescription::HostDevice(moved) => writeln!(text, "  {moved:?}")?,
        }
        writeln!(text, "  {:?}, id {:?}, mtu {:?}", d.other_gateway, d.id.as_ref().map(NetworkId::short), d.mtu)?;
        if d.naming != Naming::default() {
            writeln!(text, "  names {:?}, servers {:?}", d.naming.service, d.naming.servers)?;
        }
        for pool in &d.pools {
            writeln!(text, "  pool {}, gateway {:?} at {:?}", pool.subnet, pool.gateway, pool.gateway_at)?;
            assert!(pool.range.is_none() && pool.exclude.is_empty());
        }
        for (key, value) in &d.labels {
            writeln!(text, "  label {key}={value}")?;
        }
    }
    let mac = match wishes.mac {
        MacWish::Given(mac) => mac.to_string(),
        other => format!("{other:?}"),
    };
    let Traits { port_holder, metric, .. } = wishes.traits;
    let (inside, outside) = (wishes.ifname.as_ref().unwrap(), wishes.host_device.as_ref().map(ToString::to_string));
    writeln!(text, "  {inside}, mac {mac}, host end {outside:?}")?;
    match &wishes.addressing {
        Addressing::Given(given) => {
            for a in given {
                writeln!(text, "  address {}, gateway {:?}", a.address, a.gateway)?;
            }
        }
        Addressing::Network => writeln!(text, "  addresses of the network, asked for {:?}", wishes.addresses)?,
        Addressing::Sets(_) => panic!("Podman has no sets of pools"),
    }
    if matches!(network, Target::Described(d) if d.ipam == Ipam::Dhcp) {
        writeln!(text, "  {:?}", wishes.dhcp)?;
    }
    writeln!(text, "  default route {:?}, metric {metric:?}", wishes.default_route)?;
    for route in &wishes.routes {
        writeln!(text, "  route {route}, {:?}, metric {:?}", route.options.kind, route.options.metric)?;
    }
    for alias in &wishes.aliases {
        writeln!(text, "  alias {alias}")?;
    }
    writeln!(text, "  publishing {publishing:?}, ports held by {port_holder:?}")?;
    for port in &wishes.ports {
        writeln!(text, "  port {port}")?;
    }
    for server in dns_servers {
        writeln!(text, "  server {server}")?;
    }
    Ok(())
}
