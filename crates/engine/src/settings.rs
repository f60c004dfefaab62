//! The settings file. Where dockerd has a word for a setting, it is dockerd's, with dockerd's meaning.

use crate::error::Error;
use ipnet::IpNet;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use zubi_ipam::{AddressPool, AddressPools};
use zubi_model::{
    BridgeSpec, DriverSpec, Egress, Family, HostAddress, Icc, Invalid, Mtu, NameService, NetworkName, NetworkSpec,
    PoolSpec, PortWish, Subnet,
};
use zubi_names::{Pattern, Records};

/// The contents of the settings file.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) pools: Option<AddressPools>,
    pub(crate) coexistence: Coexistence,
    pub(crate) forwarding: Forwarding,
    pub(crate) default_network: DefaultNetwork,
    pub(crate) names: NameSettings,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) docker_plugin: Option<PathBuf>,
}

/// What the settings say about names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameSettings {
    /// `"dns": "off"`: the daemon answers nobody.
    pub service: NameService,
    /// `dns`, in dockerd's form: the servers that are asked about names elsewhere; none for the host's.
    pub servers: Vec<IpAddr>,
    /// `names`: what every sandbox finds.
    pub records: Records,
}

/// `dns`: servers as in dockerd's settings, or the word `off`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a list of addresses or \"off\"")]
enum Dns {
    Servers(Vec<IpAddr>),
    Word(DnsWord),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum DnsWord {
    Off,
}

/// The addresses of a name: one, or several.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected an address or a list of addresses")]
enum Addresses {
    One(IpAddr),
    All(Vec<IpAddr>),
}

/// A name, or `*.DOMAIN`.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct RecordName(Pattern);

impl<'de> Deserialize<'de> for RecordName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(RecordName).map_err(serde::de::Error::custom)
    }
}

/// Whether zubi adds rules to other programs' tables where those would drop packets of its networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Coexistence {
    /// It does.
    #[default]
    On,
    /// zubi changes no table but its own.
    Off,
}

/// Whether a host that was no router before its first network forwards packets that concern no bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forwarding {
    /// Its other devices do not reach each other through it. It stops being a router when the last network goes.
    #[default]
    Closed,
    /// It is a router and stays one.
    Open,
}

/// What the network `default` is like, as dockerd's settings say it of `docker0`. Everything but the address counts when
/// the network is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefaultNetwork {
    /// `bip`: the host's address on the bridge, with the length of the subnet.
    pub address: Option<IpNet>,
    /// `fixed-cidr`: where endpoints get their addresses.
    pub range: Option<IpNet>,
    /// `mtu`.
    pub mtu: Option<Mtu>,
    /// `icc`: whether endpoints reach each other.
    pub icc: Option<bool>,
    /// `ip-masq`: whether the host's address replaces theirs.
    pub masquerade: Option<bool>,
    /// `ip`: where ports are published that name no address.
    pub publish_at: Option<IpAddr>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    #[serde(default)]
    default_address_pools: Vec<PoolWords>,
    /// See [`Coexistence`].
    coexistence: Option<bool>,
    /// See [`Forwarding`].
    #[serde(default)]
    forwarding: Forwarding,
    bip: Option<IpNet>,
    fixed_cidr: Option<IpNet>,
    mtu: Option<Mtu>,
    icc: Option<bool>,
    ip: Option<IpAddr>,
    ip_masq: Option<bool>,
    dns: Option<Dns>,
    metrics_addr: Option<SocketAddr>,
    docker_socket: Option<PathBuf>,
    #[serde(default)]
    names: BTreeMap<RecordName, Addresses>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolWords {
    base: IpNet,
    size: u8,
}

impl DefaultNetwork {
    /// The network as it is to be made.
    pub(crate) fn spec(&self, name: NetworkName) -> Result<NetworkSpec, Invalid> {
        let mut pools = Vec::new();
        if let Some(address) = self.address {
            pools.push(PoolSpec {
                subnet: Subnet::try_from(address.trunc())?,
                gateway: Some(address.addr()),
                range: self.range,
                exclude: Vec::new(),
            });
        }
        let icc = if self.icc == Some(false) { Icc::Isolated } else { Icc::Allowed };
        let egress = if self.masquerade == Some(false) { Egress::Plain } else { Egress::Masquerade };
        let driver = DriverSpec::Bridge(BridgeSpec { icc, ..BridgeSpec::default() });
        Ok(NetworkSpec { pools, mtu: self.mtu, egress, driver, ..NetworkSpec::new(name) })
    }

    /// The ports with the address at which they are published.
    pub(crate) fn published_at(&self, ports: &[PortWish]) -> Vec<PortWish> {
        let host = self.publish_at.map_or(HostAddress::Every, HostAddress::One);
        let at = |port: &PortWish| match port.host {
            HostAddress::Every => PortWish { host, ..*port },
            HostAddress::One(_) => *port,
        };
        ports.iter().map(at).collect()
    }
}

/// Reads the settings file.
pub(crate) fn parse(path: &str, text: &str) -> Result<Settings, Error> {
    let refuse = |why: String| Error::Config { path: path.to_owned(), why };
    let file: File = serde_json::from_str(text).map_err(|e| refuse(e.to_string()))?;
    let pools: Result<Vec<AddressPool>, _> =
        file.default_address_pools.iter().map(|p| AddressPool::new(p.base, p.size)).collect();
    let pools = pools.map_err(|e| refuse(e.to_string()))?;
    if let Some(bip) = file.bip.filter(|bip| Family::of(bip.addr()) == Family::V6) {
        return Err(refuse(format!("bip {bip}: has to be an IPv4 address with a prefix length")));
    }
    if file.fixed_cidr.is_some() && file.bip.is_none() {
        return Err(refuse("fixed-cidr: needs bip, the subnet that it lies in".into()));
    }
    if let Some(address) = file.metrics_addr.filter(|address| !address.ip().is_loopback()) {
        let who = "has to be an address of the loopback device: the figures tell who is there, and how much each sends";
        return Err(refuse(format!("metrics-addr {address}: {who}")));
    }
    let default_network = DefaultNetwork {
        address: file.bip,
        range: file.fixed_cidr,
        mtu: file.mtu,
        icc: file.icc,
        masquerade: file.ip_masq,
        // dockerd says 0.0.0.0 for every address.
        publish_at: file.ip.filter(|address| !address.is_unspecified()),
    };
    let spec = default_network.spec("default".parse()?).map_err(|e| refuse(e.to_string()))?;
    for pool in spec.pools {
        pool.decide().map_err(|e| refuse(e.to_string()))?;
    }
    let (service, servers) = match file.dns {
        None => (NameService::On, Vec::new()),
        Some(Dns::Servers(servers)) => (NameService::On, servers),
        Some(Dns::Word(DnsWord::Off)) => (NameService::Off, Vec::new()),
    };
    let mut records = Records::default();
    for (RecordName(pattern), addresses) in file.names {
        match addresses {
            Addresses::One(address) => records.add(pattern, [address]),
            Addresses::All(all) => records.add(pattern, all),
        }
    }
    Ok(Settings {
        names: NameSettings { service, servers, records },
        pools: (!pools.is_empty()).then(|| AddressPools::new(pools)),
        coexistence: if file.coexistence == Some(false) { Coexistence::Off } else { Coexistence::On },
        forwarding: file.forwarding,
        metrics: file.metrics_addr,
        docker_plugin: file.docker_socket,
        default_network,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_in_docker_s_format_are_read() {
        let pools = parse("f", r#"{"default-address-pools":[{"base":"10.200.0.0/16","size":24}]}"#).unwrap();
        let pools = pools.pools.unwrap();
        assert_eq!(pools.of(Family::V4).next().unwrap().to_string(), "10.200.0.0/16,24");
        assert!(parse("f", "{}").unwrap().pools.is_none());
    }

    #[test]
    fn coexistence_is_on_unless_switched_off() {
        let setting = |text| parse("f", text).unwrap().coexistence;
        assert_eq!(setting("{}"), Coexistence::On);
        assert_eq!(setting(r#"{"coexistence":true}"#), Coexistence::On);
        assert_eq!(setting(r#"{"coexistence":false}"#), Coexistence::Off);
    }

    #[test]
    fn a_host_forwards_no_other_packets_unless_the_settings_say_open() {
        let setting = |text| parse("f", text).map(|settings| settings.forwarding);
        assert_eq!(setting("{}").unwrap(), Forwarding::Closed);
        assert_eq!(setting(r#"{"forwarding":"closed"}"#).unwrap(), Forwarding::Closed);
        assert_eq!(setting(r#"{"forwarding":"open"}"#).unwrap(), Forwarding::Open);
        assert!(setting(r#"{"forwarding":"on"}"#).unwrap_err().to_string().contains("expected `closed` or `open`"));
    }

    #[test]
    fn what_is_wrong_names_the_file() {
        let said = |text| parse("/etc/zubi/config.json", text).unwrap_err().to_string();
        let typo = said(r#"{"default-adress-pools":[]}"#);
        assert!(typo.starts_with("settings file /etc/zubi/config.json: unknown field"), "{typo}");
        for (text, why) in [
            (r#"{"dns":"on"}"#, "expected a list of addresses or \"off\" at line 1 column 12"),
            (r#"{"names":{"a..b":"10.0.0.1"}}"#, "has an empty label at line 1 column"),
            (r#"{"names":{"a":"ten"}}"#, "expected an address or a list of addresses at line 1 column"),
            (r#"{"bip":"fd00::1/64"}"#, "has to be an IPv4 address"),
            (r#"{"fixed-cidr":"10.1.0.0/24"}"#, "needs bip"),
            (r#"{"bip":"10.1.0.1/24","fixed-cidr":"10.2.0.0/24"}"#, "10.2.0.0/24"),
            (r#"{"bip":"10.1.0.0/24"}"#, "is not a host address"),
            (r#"{"metrics-addr":"0.0.0.0:9323"}"#, "metrics-addr 0.0.0.0:9323: has to be an address of the loopback"),
            (r#"{"mtu":1}"#, "is not between 68 and 65535"),
        ] {
            let said = said(text);
            assert!(said.starts_with("settings file /etc/zubi/config.json: ") && said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn names_have_servers_and_records() {
        let text = r#"{"dns":["1.1.1.1"],"names":{"db.example.org":"10.0.0.5","*.apps.test":["10.0.0.6","fd00::6"]}}"#;
        let names = parse("f", text).unwrap().names;
        let mut records = Records::default();
        for (name, address) in [("db.example.org", "10.0.0.5"), ("*.apps.test", "10.0.0.6"), ("*.apps.test", "fd00::6")]
        {
            records.add(name.parse().unwrap(), [address.parse().unwrap()]);
        }
        let servers = vec!["1.1.1.1".parse().unwrap()];
        assert_eq!(names, NameSettings { service: NameService::On, servers, records });
        assert_eq!(parse("f", r#"{"dns":"off"}"#).unwrap().names.service, NameService::Off);
    }

    #[test]
    fn the_default_network_is_what_dockerds_words_say() {
        let text = r#"{"bip":"192.168.1.1/24","fixed-cidr":"192.168.1.128/25","mtu":1400,"icc":false,"ip-masq":false,
            "ip":"127.0.0.1"}"#;
        let settings = parse("f", text).unwrap().default_network;
        let spec = settings.spec("default".parse().unwrap()).unwrap();
        let pool = spec.pools[0].clone().decide().unwrap();
        assert_eq!((pool.subnet.to_string(), pool.gateway), ("192.168.1.0/24".into(), "192.168.1.1".parse().ok()));
        assert_eq!(pool.range.unwrap().to_string(), "192.168.1.128/25");
        assert_eq!((spec.mtu.unwrap().bytes(), spec.egress), (1400, Egress::Plain));
        assert_eq!(spec.driver, DriverSpec::Bridge(BridgeSpec { icc: Icc::Isolated, ..BridgeSpec::default() }));
        let ports = ["8080:80", "10.0.0.1:81:81"].map(|port| port.parse().unwrap());
        let at = settings.published_at(&ports).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(at, ["127.0.0.1:8080:80/tcp", "10.0.0.1:81:81/tcp"]);
        assert_eq!(parse("f", r#"{"ip":"0.0.0.0"}"#).unwrap().default_network.publish_at, None);
    }
}
