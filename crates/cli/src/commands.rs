//! What each command does.

use crate::inspect;
use crate::output::Output;
use crate::run;
use crate::table::render;
use crate::words::{CreateWords, NetworkWords, SandboxWords, WishWords, Words};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::process::ExitCode;
use zubi_engine::{Act, Attached, Attachment, Class, Detached, Engine, Error, Force, Report};
use zubi_model::{DefaultRoute, Egress, Family, Icc, Invalid, MacWish, NetworkSpec, PoolSpec, Scope, Subnet, Wishes};
use zubi_plan::Plan;

/// Runs one command to its end.
pub(crate) fn run(mut engine: Engine, words: Words, output: &Output) -> Result<ExitCode, Error> {
    let mut code = ExitCode::SUCCESS;
    match words {
        Words::Network(words) => network(&mut engine, words, output)?,
        Words::Sandbox(SandboxWords::Exec { sandbox, command }) => {
            let never = engine.exec(&sandbox, &command)?;
            match never {}
        }
        Words::Sandbox(words) => sandbox(&mut engine, words, output)?,
        Words::Run(words) => return run::run(engine, &words, output),
        Words::Connect { network, sandbox, wishes } => {
            let report = engine.attach(&network, &sandbox, &wishes.wishes(), output.act())?;
            let (text, json) = attached(&report.value);
            output.changed(&mut engine, &report.plan, &text, json)?;
        }
        Words::Disconnect { network, sandbox } => {
            let report = engine.detach(&network, &sandbox, output.act())?;
            let (text, state) = match report.value {
                Detached::Gone(_) => (format!("{sandbox}: disconnected from {network}\n"), "disconnected"),
                Detached::WasNotAttached => (format!("{sandbox}: was not on {network}\n"), "was-not-connected"),
            };
            let json = json!({"sandbox": sandbox.to_string(), "network": network.as_str(), "state": state});
            output.changed(&mut engine, &report.plan, &text, json)?;
        }
        Words::Ls => endpoints(&mut engine, output)?,
        Words::Bridge => bridges(&mut engine, output)?,
        Words::Check => code = check(&mut engine, output)?,
        Words::Repair => {
            let report = engine.repair(output.act())?;
            let text = lines(&report.value, "nothing to repair\n");
            output.changed(&mut engine, &report.plan, &text, json!({ "repaired": report.value }))?;
        }
        Words::Gc => {
            if output.act() == Act::Show {
                return Err(Invalid::new("option", "--explain", "gc has no plan before it looks")
                    .try_instead("zubi check shows what it would remove")
                    .into());
            }
            let collected = engine.gc()?;
            let text = lines(&collected.removed, "nothing to remove\n");
            output.told(&text, &json!({ "removed": collected.removed }));
        }
        Words::Lab { .. } | Words::Completions { .. } | Words::Man { .. } => {}
    }
    engine.linger()?;
    Ok(code)
}

fn lines(lines: &[String], none: &str) -> String {
    if lines.is_empty() { none.to_owned() } else { lines.iter().map(|l| format!("{l}\n")).collect() }
}

impl WishWords {
    pub(crate) fn wishes(&self) -> Wishes {
        Wishes {
            addresses: self.ip.clone(),
            mac: self.mac.unwrap_or(MacWish::FromAddress),
            ifname: self.ifname.clone(),
            aliases: self.alias.clone(),
            routes: self.route.clone(),
            default_route: if self.no_default_route { DefaultRoute::Never } else { DefaultRoute::Eligible },
        }
    }
}

/// Sorts what was given for all subnets to the subnet it lies in.
fn spec(words: CreateWords) -> Result<NetworkSpec, Error> {
    let mut pools: Vec<PoolSpec> = words
        .subnet
        .iter()
        .map(|subnet| PoolSpec { subnet: *subnet, gateway: None, range: None, exclude: Vec::new() })
        .collect();
    for (at, pool) in pools.iter().enumerate() {
        if let Some(other) = pools[..at].iter().find(|p| p.subnet.overlaps(pool.subnet.net())) {
            let why = format!("overlaps {} of the same network", other.subnet);
            return Err(Invalid::new("subnet", pool.subnet, why).into());
        }
    }
    let needs = |what| Error::from(Invalid::new(what, "", "needs a --subnet to lie in"));
    let home = |what: &'static str, value: &dyn std::fmt::Display, address: IpAddr| {
        if words.subnet.is_empty() {
            return Err(needs(what));
        }
        let inside = |s: &Subnet| s.net().contains(&address);
        match words.subnet.iter().position(inside) {
            Some(at) => Ok(at),
            None => {
                let subnets: Vec<String> = words.subnet.iter().map(ToString::to_string).collect();
                Err(Invalid::new(what, value, format!("is not inside {}", subnets.join(" or "))).into())
            }
        }
    };
    for gateway in &words.gateway {
        let at = home("gateway", gateway, *gateway)?;
        if pools[at].gateway.replace(*gateway).is_some() {
            return Err(Invalid::new("gateway", gateway, format!("is a second one in {}", pools[at].subnet)).into());
        }
    }
    for range in &words.ip_range {
        let at = home("address range", range, range.addr())?;
        if pools[at].range.replace(range.trunc()).is_some() {
            return Err(Invalid::new("address range", range, format!("is a second one in {}", pools[at].subnet)).into());
        }
    }
    for exclusion in &words.exclude {
        let at = home("excluded address", exclusion, exclusion.first)?;
        pools[at].exclude.push(*exclusion);
    }
    // A subnet of one family alone makes a network of that family alone.
    let given = |family| words.subnet.iter().any(|s| s.family() == family);
    let mut families = Vec::new();
    if given(Family::V4) || words.subnet.is_empty() {
        families.push(Family::V4);
    }
    if given(Family::V6) || words.ipv6 {
        families.push(Family::V6);
    }
    Ok(NetworkSpec {
        name: words.name,
        pools,
        families,
        scope: if words.internal { Scope::Internal } else { Scope::Routed },
        egress: if words.no_masquerade { Egress::Plain } else { Egress::Masquerade },
        icc: if words.no_icc { Icc::Isolated } else { Icc::Allowed },
        mtu: words.mtu,
        bridge: words.bridge,
        labels: words.label.into_iter().map(|l| (l.key, l.value)).collect(),
    })
}

fn network(engine: &mut Engine, words: NetworkWords, output: &Output) -> Result<(), Error> {
    match words {
        NetworkWords::Create(words) => {
            let report = engine.create_network(spec(*words)?, output.act())?;
            let subnets: Vec<String> = report.value.pools.iter().map(|p| p.subnet.to_string()).collect();
            let text = format!("{}: {} on bridge {}\n", report.value.name, subnets.join(", "), report.value.bridge);
            let json = inspect::network(&report.value, &[]);
            output.changed(engine, &report.plan, &text, json)
        }
        NetworkWords::Ls => {
            let (networks, unreadable) = engine.networks();
            let rows: Vec<Vec<String>> = networks
                .iter()
                .map(|n| {
                    let subnets: Vec<String> = n.pools.iter().map(|p| p.subnet.to_string()).collect();
                    let mut options = Vec::new();
                    options.extend((n.scope == Scope::Internal).then_some("internal"));
                    options.extend((n.icc == Icc::Isolated).then_some("no-icc"));
                    options.extend((n.egress == Egress::Plain).then_some("no-masquerade"));
                    let id = n.id.short().to_owned();
                    vec![
                        n.name.to_string(),
                        id,
                        "bridge".into(),
                        n.bridge.to_string(),
                        subnets.join(","),
                        options.join(","),
                    ]
                })
                .collect();
            let text = render(&["NAME", "ID", "DRIVER", "BRIDGE", "SUBNETS", "OPTIONS"], &rows);
            let json: Vec<Value> = networks.iter().map(|n| inspect::network(n, &[])).collect();
            output.told(&text, &Value::Array(json));
            // One file that cannot be read does not hide the others.
            match unreadable.into_iter().next() {
                Some(e) => Err(e.into()),
                None => Ok(()),
            }
        }
        NetworkWords::Inspect { names } => {
            let mut all = Vec::new();
            for name in &names {
                let (network, endpoints) = engine.network(name)?;
                all.push(inspect::network(&network, &endpoints));
            }
            println!("{:#}", Value::Array(all));
            Ok(())
        }
        NetworkWords::Rm { names } => {
            let mut plan = Plan::new();
            let mut text = String::new();
            for name in &names {
                plan.append(engine.remove_network(name, output.act())?.plan);
                text += &format!("{name}: removed\n");
            }
            let json = json!({"removed": names.iter().map(|n| n.as_str()).collect::<Vec<_>>()});
            output.changed(engine, &plan, &text, json)
        }
        NetworkWords::Prune => {
            let Report { plan, value } = engine.prune_networks(output.act())?;
            let text = lines(&value.iter().map(|n| format!("{n}: removed")).collect::<Vec<_>>(), "nothing to remove\n");
            let json = json!({"removed": value.iter().map(|n| n.as_str()).collect::<Vec<_>>()});
            output.changed(engine, &plan, &text, json)
        }
    }
}

fn sandbox(engine: &mut Engine, words: SandboxWords, output: &Output) -> Result<(), Error> {
    match words {
        SandboxWords::Add { name, from } => {
            let report = engine.add_sandbox(&name, from.as_ref(), output.act())?;
            output.changed(engine, &report.plan, &format!("{name}\n"), json!({ "sandbox": name.as_str() }))
        }
        SandboxWords::Rm { names, force } => {
            let force = if force { Force::Yes } else { Force::No };
            let mut plan = Plan::new();
            let mut text = String::new();
            for name in &names {
                plan.append(engine.remove_sandbox(name, force, output.act())?.plan);
                text += &format!("{name}: removed\n");
            }
            let json = json!({"removed": names.iter().map(|n| n.as_str()).collect::<Vec<_>>()});
            output.changed(engine, &plan, &text, json)
        }
        SandboxWords::Ls => {
            let views = engine.sandboxes()?;
            let mut rows = Vec::new();
            let mut all = Vec::new();
            for v in &views {
                let networks: Vec<&str> = v.networks.iter().map(|n| n.as_str()).collect();
                rows.push(vec![
                    v.name.to_string(),
                    v.maker.to_owned(),
                    v.processes.len().to_string(),
                    networks.join(","),
                ]);
                all.push(json!({"name": v.name.as_str(), "maker": v.maker, "cookie": v.cookie.map(|c| c.0),
                    "processes": v.processes, "networks": networks}));
            }
            output.told(&render(&["NAME", "MADE-BY", "PROCESSES", "NETWORKS"], &rows), &Value::Array(all));
            Ok(())
        }
        // Handled before: it becomes the command.
        SandboxWords::Exec { .. } => Ok(()),
    }
}

/// How an endpoint is told.
pub(crate) fn attached(attached: &Attached) -> (String, Value) {
    let e = &attached.endpoint;
    let addresses: Vec<String> = e.addresses.iter().map(|a| a.address.to_string()).collect();
    let families: Vec<String> = attached.default_in.iter().map(ToString::to_string).collect();
    let default =
        if families.is_empty() { String::new() } else { format!(", default route ({})", families.join(", ")) };
    let again = if attached.attachment == Attachment::Existing { " (was connected already)" } else { "" };
    let text = format!(
        "{}: {} {} {} on {}{default}{again}\n",
        e.sandbox.spelled,
        e.ifname,
        addresses.join(" "),
        e.mac,
        e.network
    );
    let json = json!({
        "sandbox": e.sandbox.spelled,
        "network": e.network.as_str(),
        "ifname": e.ifname.as_str(),
        "mac": e.mac.to_string(),
        "addresses": addresses,
        "gateways": e.addresses.iter().map(|a| a.gateway.to_string()).collect::<Vec<_>>(),
        "host_device": e.host_device.as_str(),
        "default_route": families,
        "existing": attached.attachment == Attachment::Existing,
    });
    (text, json)
}

fn endpoints(engine: &mut Engine, output: &Output) -> Result<(), Error> {
    let mut rows = Vec::new();
    let mut all = Vec::new();
    for v in engine.endpoints()? {
        let e = &v.endpoint;
        let addresses: Vec<String> = e.addresses.iter().map(|a| a.address.to_string()).collect();
        let number = |i: Option<zubi_model::IfIndex>| i.map_or_else(|| "-".to_owned(), |i| i.0.to_string());
        let default: Vec<&str> = v.default_in.iter().map(|f| if *f == Family::V4 { "v4" } else { "v6" }).collect();
        rows.push(vec![
            e.sandbox.spelled.clone(),
            e.network.to_string(),
            format!("{}@{}", e.ifname, number(v.peer_index)),
            addresses.join(","),
            e.mac.to_string(),
            format!("{}@{}", e.host_device, number(v.host_index)),
            default.join(","),
        ]);
        all.push(json!({
            "sandbox": e.sandbox.spelled,
            "network": e.network.as_str(),
            "addresses": addresses,
            "mac": e.mac.to_string(),
            "ifname": e.ifname.as_str(),
            "ifindex": v.peer_index.map(|i| i.0),
            "host_device": e.host_device.as_str(),
            "host_ifindex": v.host_index.map(|i| i.0),
            "bridge": e.bridge.as_str(),
            "default_route": default,
            "aliases": e.aliases.iter().map(|a| a.as_str()).collect::<Vec<_>>(),
        }));
    }
    let head = ["SANDBOX", "NETWORK", "DEVICE", "ADDRESSES", "MAC", "HOST-DEVICE", "DEFAULT"];
    output.told(&render(&head, &rows), &Value::Array(all));
    Ok(())
}

fn bridges(engine: &mut Engine, output: &Output) -> Result<(), Error> {
    let mut rows = Vec::new();
    let mut all = Vec::new();
    for bridge in engine.bridges()? {
        let network = bridge.network.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let mut first = vec![bridge.name.clone(), bridge.mac.clone(), bridge.state.to_string(), network.clone()];
        let mut ports = Vec::new();
        for port in &bridge.ports {
            let behind = port.behind.as_ref().map_or_else(|| "-".to_owned(), |(s, d)| format!("{s} {d}"));
            let mut row = std::mem::replace(&mut first, vec![String::new(); 4]);
            row.extend([port.device.clone(), port.state.to_string(), behind]);
            rows.push(row);
            ports.push(json!({"device": port.device, "state": port.state.to_string(),
                "sandbox": port.behind.as_ref().map(|b| b.0.clone()), "ifname": port.behind.as_ref().map(|b| b.1.clone())}));
        }
        if bridge.ports.is_empty() {
            rows.push(first);
        }
        all.push(json!({"bridge": bridge.name, "mac": bridge.mac, "state": bridge.state.to_string(),
            "network": network, "ports": ports}));
    }
    let head = ["BRIDGE", "MAC", "STATE", "NETWORK", "PORT", "STATE", "SANDBOX"];
    output.told(&render(&head, &rows), &Value::Array(all));
    Ok(())
}

fn check(engine: &mut Engine, output: &Output) -> Result<ExitCode, Error> {
    let problems = engine.check()?;
    let text: String =
        problems.iter().map(|p| format!("{}: {}\n    to put it right: {}\n", p.object, p.what, p.fix)).collect();
    let json: Vec<Value> = problems
        .iter()
        .map(|p| json!({"kind": p.kind.word(), "object": p.object, "what": p.what, "fix": p.fix}))
        .collect();
    let text = if problems.is_empty() { "everything is as recorded\n".to_owned() } else { text };
    output.told(&text, &json!({ "problems": json }));
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(Class::Problems as u8) })
}
