//! `network inspect`: Docker's field names in Docker's order (its API, Network and EndpointResource objects).

use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use zubi_model::{Alias, Egress, Endpoint, Family, Icc, Ingress, Network, Questions, Scope};

/// A network as Docker shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "Docker's fields")]
pub(crate) struct NetworkShown {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) created: String,
    pub(crate) scope: &'static str,
    pub(crate) driver: String,
    #[serde(rename = "EnableIPv4")]
    enable_v4: bool,
    #[serde(rename = "EnableIPv6")]
    pub(crate) enable_v6: bool,
    #[serde(rename = "IPAM")]
    ipam: Ipam,
    pub(crate) internal: bool,
    /// Anybody may connect to every network.
    attachable: bool,
    /// The next three are Docker's swarm and templates of networks, which zubi does not have.
    ingress: bool,
    config_from: ConfigFrom,
    config_only: bool,
    containers: BTreeMap<String, ContainerShown>,
    options: Map<String, Value>,
    pub(crate) labels: BTreeMap<String, String>,
    /// What `network set` changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) changed: Option<Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam {
    driver: &'static str,
    options: Map<String, Value>,
    config: Vec<PoolShown>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PoolShown {
    subnet: String,
    #[serde(rename = "IPRange", skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exclude: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigFrom {
    network: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerShown {
    name: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    mac_address: String,
    #[serde(rename = "IPv4Address")]
    v4: String,
    #[serde(rename = "IPv6Address")]
    v6: String,
    aliases: Vec<String>,
    interface: String,
    /// The sandbox as zubi's commands take it.
    sandbox: String,
}

/// A network as Docker would show it. `key` gives the key of an endpoint: the id of its container, as in Docker.
pub(crate) fn network(network: &Network, endpoints: &[Endpoint], key: &dyn Fn(&Endpoint) -> String) -> NetworkShown {
    let config = network.pools.iter().map(|pool| PoolShown {
        subnet: pool.subnet.to_string(),
        range: pool.range.map(|range| range.to_string()),
        gateway: pool.gateway.map(|gateway| gateway.to_string()),
        exclude: pool.exclude.iter().map(ToString::to_string).collect(),
    });
    let mut options = Map::new();
    let mut option = |key: &str, value: String| options.insert(key.to_owned(), json!(value));
    if let Some(bridge) = network.bridge() {
        option("com.docker.network.bridge.name", bridge.device.to_string());
        option("com.docker.network.bridge.enable_icc", (bridge.icc == Icc::Allowed).to_string());
        option("com.docker.network.bridge.enable_ip_masquerade", (network.egress == Egress::Masquerade).to_string());
        if bridge.ingress != Ingress::default() {
            option("zubi.ingress", bridge.ingress.to_string());
        }
        if let Some(vlan) = bridge.vlan {
            option("vlan", vlan.to_string());
        }
        if network.naming.questions == Questions::Redirected {
            option("zubi.dns", "redirect".to_owned());
        }
    }
    if let Some(part) = network.macvlan() {
        option("parent", part.parent.to_string());
        option(&format!("{}_mode", part.mode.kind()), part.mode.to_string());
    }
    if let Some(part) = network.whole_device() {
        option("parent", part.device.to_string());
    }
    if let Some(part) = network.ovs() {
        option("bridge", part.bridge.to_string());
        if let Some((key, value)) = part.vlans.to_string().split_once('=') {
            option(key, value.to_owned());
        }
    }
    if let Some(mtu) = network.mtu {
        option("com.docker.network.driver.mtu", mtu.to_string());
    }
    NetworkShown {
        name: network.name.to_string(),
        id: network.id.as_str().to_owned(),
        created: rfc3339(network.created),
        scope: "local",
        driver: network.driver.kind().to_string(),
        enable_v4: network.pool(Family::V4).is_some(),
        enable_v6: network.pool(Family::V6).is_some(),
        ipam: Ipam {
            driver: if network.asks_dhcp() { "dhcp" } else { "default" },
            options: Map::new(),
            config: config.collect(),
        },
        internal: network.scope == Scope::Internal,
        attachable: true,
        ingress: false,
        config_from: ConfigFrom { network: "" },
        config_only: false,
        containers: endpoints.iter().map(|e| (key(e), container(e))).collect(),
        options,
        labels: network.labels.clone(),
        changed: None,
    }
}

/// The key of an endpoint where no runtime is asked.
pub(crate) fn cookie(endpoint: &Endpoint) -> String {
    endpoint.sandbox.cookie.to_string()
}

fn container(endpoint: &Endpoint) -> ContainerShown {
    let address = |family| endpoint.address(family).map_or_else(String::new, |a| a.address.to_string());
    let spelled = &endpoint.sandbox.spelled;
    let name = match spelled.split_once(':') {
        Some(("docker" | "podman" | "containerd" | "cni", name)) => name,
        _ => spelled,
    };
    ContainerShown {
        name: name.to_owned(),
        endpoint_id: endpoint.id.as_str().to_owned(),
        mac_address: endpoint.mac.to_string(),
        v4: address(Family::V4),
        v6: address(Family::V6),
        aliases: endpoint.aliases.iter().map(Alias::as_str).map(str::to_owned).collect(),
        interface: endpoint.ifname.to_string(),
        sandbox: spelled.clone(),
    }
}

/// A network as a line of Docker's `network ls --format json`, whose values are all text.
pub(crate) fn line(network: &NetworkShown, short_id: &str) -> Value {
    let labels: Vec<String> = network.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    json!({
        "CreatedAt": network.created,
        "Driver": network.driver,
        "ID": short_id,
        "IPv4": network.enable_v4.to_string(),
        "IPv6": network.enable_v6.to_string(),
        "Internal": network.internal.to_string(),
        "Labels": labels.join(","),
        "Name": network.name,
        "Scope": network.scope,
    })
}

/// Seconds since 1970 as UTC.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let days = (seconds / 86_400).cast_signed();
    let rest = seconds % 86_400;
    // Howard Hinnant's days-to-civil algorithm, in eras of 400 years that begin on 1 March.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn dates_are_right_around_leap_days() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(rfc3339(1_795_132_800), "2026-11-20T00:00:00Z");
    }
}
