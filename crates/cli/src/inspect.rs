//! `network inspect`: Docker's field names (its API, Network and EndpointResource objects).

use serde_json::{Map, Value, json};
use zubi_model::{Alias, Egress, Endpoint, Family, Icc, Ingress, Network, Scope};

/// A network as Docker would show it.
pub(crate) fn network(network: &Network, endpoints: &[Endpoint]) -> Value {
    let config: Vec<Value> = network
        .pools
        .iter()
        .map(|pool| {
            let mut config = json!({"Subnet": pool.subnet.to_string()});
            if let Some(gateway) = pool.gateway {
                config["Gateway"] = json!(gateway.to_string());
            }
            if let Some(range) = pool.range {
                config["IPRange"] = json!(range.to_string());
            }
            if !pool.exclude.is_empty() {
                config["Exclude"] = json!(pool.exclude.iter().map(ToString::to_string).collect::<Vec<_>>());
            }
            config
        })
        .collect();
    let containers: Map<String, Value> =
        endpoints.iter().map(|e| (e.sandbox.cookie.to_string(), container(e))).collect();
    let mut options = Map::new();
    let mut option = |key: &str, value: String| options.insert(key.to_owned(), json!(value));
    if let Some(bridge) = network.bridge() {
        option("com.docker.network.bridge.name", bridge.device.to_string());
        option("com.docker.network.bridge.enable_icc", (bridge.icc == Icc::Allowed).to_string());
        option("com.docker.network.bridge.enable_ip_masquerade", (network.egress == Egress::Masquerade).to_string());
        if bridge.ingress != Ingress::default() {
            option("zubi.ingress", bridge.ingress.to_string());
        }
    }
    if let Some(mtu) = network.mtu {
        option("com.docker.network.driver.mtu", mtu.to_string());
    }
    json!({
        "Name": network.name.as_str(),
        "Id": network.id.as_str(),
        "Created": rfc3339(network.created),
        "Scope": "local",
        "Driver": network.driver.kind().to_string(),
        "EnableIPv4": network.pool(Family::V4).is_some(),
        "EnableIPv6": network.pool(Family::V6).is_some(),
        "IPAM": {"Driver": "default", "Options": {}, "Config": config},
        "Internal": network.scope == Scope::Internal,
        "Containers": containers,
        "Options": options,
        "Labels": network.labels,
    })
}

fn container(endpoint: &Endpoint) -> Value {
    let address = |family| endpoint.address(family).map_or_else(String::new, |a| a.address.to_string());
    json!({
        "Name": endpoint.sandbox.spelled,
        "EndpointID": endpoint.id.as_str(),
        "MacAddress": endpoint.mac.to_string(),
        "IPv4Address": address(Family::V4),
        "IPv6Address": address(Family::V6),
        "Aliases": endpoint.aliases.iter().map(Alias::as_str).collect::<Vec<_>>(),
        "Interface": endpoint.ifname.as_str(),
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
