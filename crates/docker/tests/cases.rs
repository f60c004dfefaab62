//! Each file `cases/NAME.request` holds a request: the path in the first line, the body behind it. `cases/NAME.expected`
//! has what it means, or the answer to one that is refused. `UPDATE_CASES=1` rewrites these.

use std::fmt::Write;
use std::path::Path;
use zubi_docker::{CreateEndpoint, CreateNetwork, Intent, Kind, Refusal, interpret, reply};
use zubi_model::{DriverSpec, NetworkSpec};

#[test]
fn each_case_comes_out_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "request"));
    files.sort();
    assert!(files.len() >= 40, "{} cases", files.len());
    let mut wrong = Vec::new();
    for request in files {
        let text = std::fs::read_to_string(&request).unwrap();
        let (path, body) = text.split_once('\n').unwrap();
        let found = outcome(path, body.trim_end());
        let file = request.with_extension("expected");
        if std::env::var_os("UPDATE_CASES").is_some() {
            std::fs::write(&file, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        if found != expected {
            wrong.push(format!("{}:\n--- expected\n{expected}\n--- found\n{found}", request.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn outcome(path: &str, body: &str) -> String {
    let intent = match interpret(path, body.as_bytes()) {
        Ok(intent) => intent,
        Err(Refusal::Unknown) => return "404\n".into(),
        Err(Refusal::Wrong { interface, error }) => return format!("{}\n", reply::error(interface, &error)),
    };
    let mut text = format!("{}: ", intent.interface());
    match &intent {
        Intent::CreateNetwork(create) => network(&mut text, create).unwrap(),
        Intent::CreateEndpoint(create) => endpoint(&mut text, create).unwrap(),
        Intent::Publish(publish) => {
            let ports: Vec<String> = publish.ports.iter().map(ToString::to_string).collect();
            writeln!(text, "publish {} for {}", ports.join(" "), publish.of.endpoint.short()).unwrap();
        }
        Intent::RequestPool(pool) => {
            let name = |value: &Option<_>| value.as_ref().map_or("any".to_owned(), |value: &_| format!("{value}"));
            let network = pool.network.as_ref().map_or("none".to_owned(), ToString::to_string);
            let range = pool.range.map_or("any".to_owned(), |range| range.to_string());
            writeln!(text, "{} pool {}, range {range}, of network {network}", pool.family, name(&pool.subnet)).unwrap();
        }
        Intent::RequestAddress(request) => {
            let address = request.address.map_or("any".to_owned(), |address| address.to_string());
            writeln!(text, "address {address} of {} for {:?}", request.pool, request.purpose).unwrap();
        }
        Intent::ReleaseAddress(pool, address) => writeln!(text, "release {address} of {pool}").unwrap(),
        Intent::ReleasePool(pool) => writeln!(text, "release {pool}").unwrap(),
        other => writeln!(text, "{other:?}").unwrap(),
    }
    text
}

fn network(text: &mut String, create: &CreateNetwork) -> std::fmt::Result {
    write!(text, "network {}: ", create.id.short())?;
    match &create.kind {
        Kind::Join(network) => writeln!(text, "joins {network}")?,
        Kind::Make(spec) => made(text, spec)?,
    }
    for pool in &create.pools {
        let exclude: Vec<String> = pool.exclude.iter().map(ToString::to_string).collect();
        writeln!(text, "  pool {}, gateway {:?}, without [{}]", pool.subnet, pool.gateway, exclude.join(" "))?;
    }
    writeln!(text, "  devices {}N", create.prefix)
}

fn made(text: &mut String, spec: &NetworkSpec) -> std::fmt::Result {
    let NetworkSpec { name, families, scope, egress, mtu, driver, .. } = spec;
    let families: Vec<String> = families.iter().map(ToString::to_string).collect();
    writeln!(text, "{name}, {}, {scope:?}, {egress:?}, mtu {:?}", families.join(" "), mtu.map(zubi_model::Mtu::bytes))?;
    match driver {
        DriverSpec::Bridge(bridge) => {
            let device = bridge.device.as_ref().map_or("own".to_owned(), ToString::to_string);
            writeln!(text, "  bridge {device}, {:?}, icc {:?}", bridge.existing, bridge.icc)
        }
        DriverSpec::Macvlan(part) => {
            let card = part.card.as_ref().map_or("none".to_owned(), |card| card.parent.to_string());
            writeln!(text, "  macvlan on {card}, {}, shim {:?}", part.mode, part.shim)
        }
        DriverSpec::Ovs(part) => writeln!(text, "  ovs on {}, {}", part.bridge, part.vlans),
        DriverSpec::HostDevice(part) => writeln!(text, "  {part:?}"),
    }
}

fn endpoint(text: &mut String, create: &CreateEndpoint) -> std::fmt::Result {
    let addresses: Vec<String> = create.addresses.iter().map(ToString::to_string).collect();
    let mac = create.mac.map_or("own".to_owned(), |mac| mac.to_string());
    writeln!(text, "endpoint {} with [{}], mac {mac}", create.of.endpoint.short(), addresses.join(" "))?;
    // Any address and MAC stand for what the driver chose; the answer has only what was left out.
    let chosen = ["10.90.0.7/24".parse().unwrap()];
    let mac = create.answers_mac.then(|| "02:42:0a:5a:00:07".parse().unwrap());
    writeln!(text, "  {}", reply::endpoint(if create.addresses.is_empty() { &chosen } else { &[] }, mac))
}
