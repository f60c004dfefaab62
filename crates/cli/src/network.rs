//! `zubi network`.

use crate::address::is_public;
use crate::adopted;
use crate::confirm::{self, Kept};
use crate::dns_word;
use crate::docker_names;
use crate::driver_options;
use crate::filter::fits_all;
use crate::inspect::{self, NetworkShown};
use crate::output::{Output, answer_in_json, answer_with, lines, removed, without_repeats};
use crate::table;
use crate::template::Template;
use crate::words::{CreateWords, Ipv6Wish, NetworkLsWords, NetworkWords, OrNone, SetWords};
use ipnet::IpNet;
use serde_json::{Value, json};
use std::net::IpAddr;
use zubi_engine::{Act, ConfigFile, Connected, Error, Plan, Report, Session};
use zubi_model::{
    BridgeChange, BridgeMode, BridgeNetwork, BridgeSpec, CardMode, DriverChange, DriverSpec, Egress, Endpoint,
    ExistingBridge, Family, HostDeviceSpec, HostNetworking, Icc, Ingress, Invalid, MacvlanSpec, NameService, Naming,
    Network, NetworkChange, NetworkName, NetworkSpec, OvsSpec, PoolSpec, PortVlans, Questions, RouterAdvertisements,
    Scope, ShimWish, Subnet, UplinkSpec, WayOut,
};

/// Makes, lists, shows or removes networks.
pub(crate) fn network(session: &mut Session, words: NetworkWords, output: &Output) -> Result<(), Error> {
    match words {
        NetworkWords::Create(words) => {
            let takeover = confirm::takeover(&words);
            let persist = words.persist;
            let spec = spec(*words)?;
            let within = takeover.confirm_within.filter(|_| spec.driver.uplink().is_some());
            let report = match spec.driver.uplink() {
                Some(_) => session.create_uplink(spec, &takeover, output.act())?,
                None => session.create_network(spec, output.act())?,
            };
            let subnets: Vec<String> = report.value.pools.iter().map(|p| p.subnet.to_string()).collect();
            let on = match (report.value.macvlan(), report.value.ovs()) {
                (Some(part), _) => format!("on {} ({}, {})", part.parent, part.mode.kind(), part.mode),
                (None, Some(part)) => {
                    let vlans = part.vlans.to_string();
                    let words: Vec<&str> = ["ovs", &vlans].into_iter().filter(|word| !word.is_empty()).collect();
                    format!("on {} ({})", part.bridge, words.join(", "))
                }
                (None, None) if report.value.whole_device().is_some() => {
                    format!("with {} ({})", report.value.device(), report.value.driver.kind())
                }
                (None, None) => {
                    let vlan = report.value.bridge().and_then(|part| part.vlan);
                    let vlan = vlan.map_or_else(String::new, |vlan| format!(" (vlan={vlan})"));
                    format!("on bridge {}{vlan}", report.value.device())
                }
            };
            let words = [subnets.join(", "), on];
            let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
            let text = format!("{}: {}", report.value.name, words.join(" "));
            let json = inspect::network(&report.value, &[], &inspect::cookie);
            output.changed(session, &report.plan, &[text], &json)?;
            let public = report.value.pools.iter().filter(|pool| is_public(pool.subnet)).map(|pool| {
                format!("{} are public addresses: hosts on the internet that have them cannot be reached", pool.subnet)
            });
            output.notes(&public.chain(adopted::notes(&report.value)).collect::<Vec<_>>());
            if output.act() == Act::Show {
                return Ok(());
            }
            let name = &report.value.name;
            let kept = within.map_or(Ok(Kept::Yes), |within| confirm::wait(session, name, within, output))?;
            match (persist, kept) {
                (Some(program), Kept::Yes) => print_permanent(session, name, program, output),
                (Some(program), Kept::NotYet) => {
                    output.notes(&[format!("once it is confirmed: zubi network persist {name} {program}")]);
                    Ok(())
                }
                (None, _) | (_, Kept::No) => Ok(()),
            }
        }
        NetworkWords::Set(words) => {
            let (name, change) = change(*words)?;
            let Report { plan, value } = session.set_network(&name, &change, output.act())?;
            let differences = &value.differences;
            let lines: Vec<String> = differences.iter().map(|d| format!("{} {} -> {}", d.what, d.from, d.to)).collect();
            let nothing = "nothing to change".to_owned();
            let text = format!("{name}: {}", if lines.is_empty() { nothing } else { lines.join(", ") });
            let mut json = shown(session, &value.network, &value.endpoints);
            let changed = differences.iter().map(|d| json!({"what": d.what, "from": d.from, "to": d.to}));
            json.changed = Some(changed.collect());
            output.changed(session, &plan, &[text], &json)?;
            if change.ranges.is_some_and(|ranges| !ranges.is_empty()) {
                output.notes(&adopted::notes(&value.network));
            }
            Ok(())
        }
        NetworkWords::Ls(words) => list(session, &words, output),
        NetworkWords::Inspect { names, format } => {
            let mut all = Vec::new();
            for name in &names {
                let (network, endpoints) = session.network(name)?;
                all.push(shown(session, &network, &endpoints));
            }
            let Some(template) = format else { return answer_in_json(&all) };
            let objects = all.iter().map(|network| serde_json::to_value(network).unwrap_or_default());
            answer_with(&formatted(&template, objects)?)
        }
        NetworkWords::Rm { names, force } => remove(session, &without_repeats(names), force, output),
        NetworkWords::Prune { .. } => {
            let Report { plan, value } = session.prune_networks(output.act())?;
            let (text, json) = removed(&value);
            output.changed(session, &plan, &lines(text, "nothing to remove"), &json)
        }
        NetworkWords::Confirm { name } => {
            let network = session.confirm_network(&name)?;
            output.listed(&[format!("{name}: confirmed")], &inspect::network(&network, &[], &inspect::cookie))
        }
        NetworkWords::Rollback { name } => {
            let network = session.roll_back_network(&name)?;
            let card = network.parent().map_or_else(|| "the card".to_owned(), ToString::to_string);
            let text = format!("{name}: gone; {card} has everything back");
            output.listed(&[text], &inspect::network(&network, &[], &inspect::cookie))
        }
        NetworkWords::Persist { name, program } => print_permanent(session, &name, program, output),
        // `perform` has made them commands of their own.
        NetworkWords::Connect(_) | NetworkWords::Disconnect(_) => Ok(()),
    }
}

fn print_permanent(
    session: &mut Session,
    name: &NetworkName,
    program: HostNetworking,
    output: &Output,
) -> Result<(), Error> {
    let permanent = session.permanent(name, program)?;
    let mode = |file: &ConfigFile| format!("{:04o}", file.mode);
    let file = |file: &ConfigFile| json!({"path": file.path, "mode": mode(file), "text": file.text});
    let files: Vec<Value> = permanent.files.iter().map(file).collect();
    let text = permanent.to_string();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    output.listed(&lines, &json!({"files": files, "notes": permanent.notes}))
}

fn shown(session: &Session, network: &Network, endpoints: &[Endpoint]) -> NetworkShown {
    let key = |e: &Endpoint| session.container_id(e).unwrap_or_else(|| inspect::cookie(e));
    inspect::network(network, endpoints, &key)
}

fn formatted(template: &Template, objects: impl Iterator<Item = Value>) -> Result<String, Error> {
    let line = |object| template.line(&object).map_err(|why| Invalid::new("--format", "template", why));
    let lines = objects.map(line).collect::<Result<Vec<String>, _>>()?;
    Ok(match template.head() {
        Some(head) => {
            let rows: Vec<Vec<String>> =
                lines.iter().map(|line| line.split('\t').map(str::to_owned).collect()).collect();
            table::render_with(&head.iter().map(String::as_str).collect::<Vec<_>>(), &rows, &|_, _| None)
        }
        None => lines.into_iter().map(|line| line + "\n").collect(),
    })
}

fn list(session: &mut Session, words: &NetworkLsWords, output: &Output) -> Result<(), Error> {
    let (mut networks, unreadable) = session.networks();
    let unconfirmed = session.unconfirmed_networks()?;
    networks.retain(|network| fits_all(&words.filter, network));
    let id = |n: &Network| if words.no_trunc { n.id.as_str() } else { n.id.short() }.to_owned();
    let json = |n: &Network| inspect::network(n, &[], &inspect::cookie);
    if words.quiet {
        output.listed(&networks.iter().map(id).collect::<Vec<_>>(), &networks.iter().map(id).collect::<Vec<_>>())?;
    } else if let Some(template) = &words.format {
        answer_with(&formatted(template, networks.iter().map(|n| inspect::line(&json(n), &id(n))))?)?;
    } else {
        let row = |n: &Network| {
            let subnets: Vec<String> = n.pools.iter().map(|p| p.subnet.to_string()).collect();
            let docker = session.docker_name(&n.name).map(|name| name.to_string());
            let options: Vec<String> = options(n).into_iter().chain(docker).collect();
            vec![
                n.name.to_string(),
                id(n),
                n.driver.kind().to_string(),
                n.device().to_string(),
                subnets.join(","),
                options.join(","),
            ]
        };
        let mut rows: Vec<Vec<String>> = networks.iter().map(row).collect();
        let mut head = vec!["NAME", "ID", "DRIVER", "BRIDGE", "SUBNETS", "OPTIONS"];
        if !unconfirmed.is_empty() {
            head.insert(3, "STATE");
            for (row, network) in rows.iter_mut().zip(&networks) {
                let waiting = unconfirmed.iter().find(|one| one.network.id == network.id);
                let state = waiting.map(|one| format!("unconfirmed, {} s left", one.left.as_secs()));
                row.insert(3, state.unwrap_or_else(|| "up".to_owned()));
            }
        }
        output.table(&head, &rows, &networks.iter().map(json).collect::<Vec<_>>())?;
    }
    // A file that cannot be read does not hide the other networks.
    match unreadable.into_iter().next() {
        Some(e) => Err(e.into()),
        None => Ok(()),
    }
}

/// Removes all networks, or none if one of them cannot be removed.
fn remove(session: &mut Session, names: &[NetworkName], force: bool, output: &Output) -> Result<(), Error> {
    for name in names {
        docker_names::refuse_removal(session, name)?;
    }
    let connected = if force { Connected::Disconnect } else { Connected::Refuse };
    if names.len() > 1 && output.act() == Act::Apply {
        for name in names {
            session.remove_network(name, connected, Act::Show)?;
        }
    }
    let mut plan = Plan::new();
    for name in names {
        plan.append(session.remove_network(name, connected, output.act())?.plan);
    }
    let (text, json) = removed(names);
    output.changed(session, &plan, &text, &json)
}

/// The properties of a network that differ from the defaults.
fn options(network: &Network) -> Vec<String> {
    let bridge = network.bridge();
    let has = |is: fn(&BridgeNetwork) -> bool| bridge.is_some_and(is);
    let words = [
        (network.scope == Scope::Internal, "internal"),
        (has(|bridge| bridge.icc == Icc::Isolated), "no-icc"),
        (network.egress == Egress::Plain, "no-masquerade"),
        (network.naming.questions == Questions::Redirected, "dns-redirect"),
    ];
    let advertised = network.router_advertisements == RouterAdvertisements::Taken;
    let ipam = [(network.asks_dhcp(), "ipam=dhcp"), (advertised, "ipv6=slaac")];
    let ipam = ipam.into_iter().filter(|(is, _)| *is).map(|(_, word)| word.to_owned());
    if let Some(parent) = network.parent() {
        let vlan = bridge.and_then(|bridge| bridge.vlan).map(|vlan| format!("vlan={vlan}"));
        return [format!("parent={parent}")].into_iter().chain(vlan).chain(ipam).collect();
    }
    if let Some(part) = network.macvlan() {
        let parent = part.card().map(|card| format!("parent={card}"));
        let deaf = part.shim.is_none() && part.card().is_some() && part.mode == CardMode::default();
        let words = [Some(parent.unwrap_or_else(|| "internal".to_owned())), Some(format!("mode={}", part.mode))];
        return words.into_iter().flatten().chain(deaf.then(|| "no-host-shim".to_owned())).chain(ipam).collect();
    }
    if let Some(part) = network.whole_device() {
        return [format!("device={}", part.device)].into_iter().chain(ipam).collect();
    }
    if let Some(part) = network.ovs() {
        let vlans = Some(part.vlans.to_string()).filter(|words| !words.is_empty());
        return vlans.into_iter().chain(ipam).collect();
    }
    let mut options: Vec<String> = ipam.collect();
    options.extend(words.iter().filter(|(is, _)| *is).map(|(_, word)| (*word).to_owned()));
    if let Some(bridge) = bridge {
        options.extend((bridge.ingress != Ingress::default()).then(|| bridge.ingress.to_string()));
        options.extend(match bridge.mode {
            BridgeMode::Managed => None,
            BridgeMode::Adopted => Some("bridge-adopted".to_owned()),
            BridgeMode::Unmanaged => Some("unmanaged".to_owned()),
        });
    }
    options
}

fn change(words: SetWords) -> Result<(NetworkName, NetworkChange), Error> {
    let dns = given("dns", words.dns)?.map(|words| dns_word::of_network(&words));
    // The command line refuses both together.
    let switch = |on: bool, off: bool| on.then_some(true).or(off.then_some(false));
    let bridge = BridgeChange {
        device: words.bridge,
        icc: switch(words.icc, words.no_icc).map(|on| if on { Icc::Allowed } else { Icc::Isolated }),
        ingress: None,
    };
    let change = NetworkChange {
        mtu: words.mtu,
        egress: switch(words.masquerade, words.no_masquerade)
            .map(|on| if on { Egress::Masquerade } else { Egress::Plain }),
        scope: switch(words.internal, words.no_internal).map(|on| if on { Scope::Internal } else { Scope::Routed }),
        ranges: given("address range", words.ip_range)?,
        exclude: given("excluded address", words.exclude)?,
        name_service: switch(words.enable_dns, words.disable_dns)
            .map(|on| if on { NameService::On } else { NameService::Off }),
        questions: dns.as_ref().map(|(_, questions)| *questions),
        name_servers: dns.map(|(servers, _)| servers),
        labels: words.label.into_iter().map(|l| (l.key, l.value)).collect(),
        subnets: words.subnet,
        gateways: words.gateway,
        driver: Some(DriverChange::Bridge(bridge)),
    };
    Ok((words.name, change))
}

/// `None` if the option is absent, an empty list for `none`, else the values.
fn given<T>(what: &'static str, words: Vec<OrNone<T>>) -> Result<Option<Vec<T>>, Error> {
    if words.is_empty() {
        return Ok(None);
    }
    let all = words.len();
    let values: Vec<T> =
        words.into_iter().filter_map(|w| if let OrNone::Given(value) = w { Some(value) } else { None }).collect();
    if !values.is_empty() && values.len() != all {
        return Err(Invalid::new(what, "none", "cannot be combined with others").into());
    }
    Ok(Some(values))
}

/// A gateway with a length, as in dockerd's `bip`, says the subnet too.
fn subnets_of_gateways(words: &mut CreateWords) -> Result<(), Error> {
    for gateway in &words.gateway {
        let Some(subnet) = gateway.subnet() else { continue };
        let subnet = subnet?;
        match words.subnet.iter().find(|s| s.net().contains(&gateway.address)) {
            Some(given) if *given == subnet => {}
            Some(given) => {
                let why = format!("has another length than {given}");
                return Err(Invalid::new("gateway", gateway, why).into());
            }
            None if words.subnet.iter().any(|s| s.family() == subnet.family()) => {}
            None => words.subnet.push(subnet),
        }
    }
    Ok(())
}

/// Assigns options that are given once for all subnets to the subnet that contains them.
fn spec(mut words: CreateWords) -> Result<NetworkSpec, Error> {
    driver_options::translate(&mut words)?;
    subnets_of_gateways(&mut words)?;
    let on_card = driver_options::card_mode(&words)?;
    let ovs = words.bridge.clone().filter(|_| words.driver.as_deref() == Some("ovs"));
    let uplink = words.parent.clone();
    let is_uplink = uplink.is_some() && words.subnet.is_empty();
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
    let home = |what: &'static str, value: &dyn std::fmt::Display, address: IpAddr| {
        if words.subnet.is_empty() {
            let option = match what {
                "gateway" => "--gateway",
                "address range" => "--ip-range",
                _ => "--exclude",
            };
            let why = format!("{option} needs --subnet");
            return Err(Error::from(Invalid::new(what, value, why)));
        }
        let inside = |s: &Subnet| s.net().contains(&address);
        words.subnet.iter().position(inside).ok_or_else(|| {
            let subnets: Vec<String> = words.subnet.iter().map(ToString::to_string).collect();
            Invalid::new(what, value, format!("is not inside {}", subnets.join(" or "))).into()
        })
    };
    // The subnets of a card are known to the host alone.
    let here = !is_uplink;
    for gateway in words.gateway.iter().map(|gateway| &gateway.address).filter(|_| here) {
        let at = home("gateway", gateway, *gateway)?;
        if pools[at].gateway.replace(*gateway).is_some() {
            return Err(Invalid::new("gateway", gateway, format!("is a second one in {}", pools[at].subnet)).into());
        }
    }
    for range in words.ip_range.iter().filter(|_| here) {
        let at = home("address range", range, range.addr())?;
        if pools[at].range.replace(range.trunc()).is_some() {
            return Err(Invalid::new("address range", range, format!("is a second one in {}", pools[at].subnet)).into());
        }
    }
    for exclusion in words.exclude.iter().filter(|_| here) {
        let at = home("excluded address", exclusion, exclusion.first)?;
        pools[at].exclude.push(*exclusion);
    }
    // Subnets of one family only make a network of that family only.
    let given = |family| words.subnet.iter().any(|s| s.family() == family);
    let mut families = Vec::new();
    let own = !words.adopt && uplink.is_none();
    if own && (given(Family::V4) || words.subnet.is_empty()) {
        families.push(Family::V4);
    }
    if own && (given(Family::V6) || words.ipv6 == Some(Ipv6Wish::Chosen)) {
        families.push(Family::V6);
    }
    let card = uplink.map(|parent| UplinkSpec {
        parent,
        ranges: if here { Vec::new() } else { words.ip_range.iter().map(IpNet::trunc).collect() },
        gateways: if here { Vec::new() } else { words.gateway.iter().map(|gateway| gateway.address).collect() },
        exclude: if here { Vec::new() } else { words.exclude.clone() },
    });
    let service = if words.disable_dns { NameService::Off } else { NameService::On };
    let (servers, questions) = dns_word::of_network(&words.dns);
    let naming = Naming { service, servers, questions };
    let existing = if words.adopt { ExistingBridge::Adopted } else { ExistingBridge::Refused };
    Ok(NetworkSpec {
        name: words.name,
        id: None,
        pools,
        families,
        scope: if words.internal { Scope::Internal } else { Scope::Routed },
        egress: if words.no_masquerade || !own || on_card.is_some() || ovs.is_some() {
            Egress::Plain
        } else {
            Egress::Masquerade
        },
        ipam: words.ipam.unwrap_or_default(),
        router_advertisements: match words.ipv6 {
            Some(Ipv6Wish::Slaac) => RouterAdvertisements::Taken,
            Some(Ipv6Wish::Chosen) | None => RouterAdvertisements::Ignored,
        },
        naming,
        mtu: words.mtu,
        driver: if let Some(bridge) = ovs {
            let vlans = match words.vlan {
                Some(vlan) => PortVlans::Access(vlan),
                None if words.trunk.is_empty() => PortVlans::All,
                None => PortVlans::trunk(words.trunk),
            };
            DriverSpec::Ovs(OvsSpec { bridge, vlans })
        } else if let (Some("host-device"), Some(card)) = (words.driver.as_deref(), &card) {
            let way_out = if words.force { WayOut::MayGo } else { WayOut::Kept };
            DriverSpec::HostDevice(HostDeviceSpec { card: card.clone(), way_out })
        } else if let Some(mode) = on_card {
            let shim = match (words.host_shim, words.no_host_shim) {
                (true, _) => ShimWish::Wanted,
                (false, true) => ShimWish::Unwanted,
                (false, false) => ShimWish::WherePossible,
            };
            DriverSpec::Macvlan(MacvlanSpec { card, mode, shim })
        } else {
            DriverSpec::Bridge(BridgeSpec {
                device: words.bridge,
                icc: if words.no_icc { Icc::Isolated } else { Icc::Allowed },
                existing,
                uplink: card,
                vlan: words.vlan,
            })
        },
        labels: words.label.into_iter().map(|l| (l.key, l.value)).collect(),
    })
}
