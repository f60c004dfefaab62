//! What zubi writes into the alias of a device on the host. With what the kernel has anyway, it is enough to rebuild
//! lost records.
//!
//! # How it works
//! An alias is a line of words of at most 255 bytes:
//!
//! ```text
//! zubi network blue id=4f... run=/run/zubi
//! zubi network lan id=4f... run=/run/zubi made-by=host
//! zubi endpoint blue at=81273645 way=/run/netns/c1 name=c1
//! ```
//!
//! The kernel has the rest: MACs, addresses, routes, bridges; the nftables table has the published ports. Words that
//! are seldom needed come last and are left out if the line is full, which `...` shows.
//!
//! # Limits
//! The kernel ignores an alias in the message that makes a device, so it comes with the message that sets the device
//! up. There is no room for an endpoint's id: a rebuilt endpoint gets a new one.

use std::fmt::Write as _;
use std::path::Path;
use zubi_model::{Alias, DefaultRoute, Endpoint, Network, NetworkId, NetworkName, NsRef, SandboxName, Traits};
use zubi_wire::route::LONGEST_ALIAS;

const MARK: &str = "zubi";
const CUT: &str = "...";
const BY_HOST: &str = "made-by=host";
/// The longest path, in bytes.
const LONGEST_PATH: usize = 80;

/// What the alias of an endpoint's host end says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointMark {
    /// Its network.
    pub network: NetworkName,
    /// See [`Endpoint::attached_at`].
    pub attached_at: u64,
    /// The way to its sandbox.
    pub reached_by: NsRef,
    /// The name of its sandbox.
    pub spelled: String,
    /// See [`DefaultRoute`].
    pub default_route: DefaultRoute,
    /// See [`Traits`].
    pub traits: Traits,
    /// Its aliases.
    pub aliases: Vec<Alias>,
    /// Whether there was room for all words.
    pub is_whole: bool,
}

/// Who made the bridge of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// A zubi.
    Zubi,
    /// The host's own configuration, at boot. The zubi whose mark it has took it as it was.
    Host,
}

/// What the alias of a bridge says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkMark {
    /// The network.
    pub network: NetworkName,
    /// Its id.
    pub id: NetworkId,
    /// The run folder of the zubi that marked the bridge.
    pub run: String,
    /// Who made the bridge.
    pub maker: Maker,
}

/// Writes the alias of an endpoint's host end.
pub fn of_endpoint(endpoint: &Endpoint) -> String {
    let mut line = format!("{MARK} endpoint {} at={}", endpoint.network, endpoint.attached_at);
    let mut words = vec![format!("way={}", escaped(&way_text(&endpoint.sandbox.reached_by)))];
    words.push(format!("name={}", escaped(&endpoint.sandbox.spelled)));
    if let Some(json) = json_unless_default(&endpoint.default_route, &DefaultRoute::Eligible) {
        words.push(format!("default={json}"));
    }
    if let Some(json) = json_unless_default(&endpoint.traits, &Traits::default()) {
        words.push(format!("traits={json}"));
    }
    words.extend(endpoint.aliases.iter().map(|alias| format!("alias={}", escaped(&alias.to_string()))));
    for word in words {
        if line.len() + 1 + word.len() + 1 + CUT.len() > LONGEST_ALIAS {
            line.push(' ');
            line.push_str(CUT);
            break;
        }
        line.push(' ');
        line.push_str(&word);
    }
    line
}

/// Reads the alias of a host end.
pub fn read_endpoint(alias: &str) -> Option<EndpointMark> {
    let mut words = alias.strip_prefix(MARK)?.strip_prefix(" endpoint ")?.split(' ');
    let mut mark = EndpointMark {
        network: words.next()?.parse().ok()?,
        attached_at: words.next()?.strip_prefix("at=")?.parse().ok()?,
        reached_by: NsRef::Path("/".into()),
        spelled: String::new(),
        default_route: DefaultRoute::Eligible,
        traits: Traits::default(),
        aliases: Vec::new(),
        is_whole: true,
    };
    for word in words {
        match word.split_once('=') {
            Some(("way", text)) => mark.reached_by = way(&unescaped(text)),
            Some(("name", text)) => mark.spelled = unescaped(text),
            Some(("default", json)) => mark.default_route = serde_json::from_str(json).ok()?,
            Some(("traits", json)) => mark.traits = serde_json::from_str(json).ok()?,
            Some(("alias", text)) => mark.aliases.extend(unescaped(text).parse()),
            _ => mark.is_whole = false,
        }
    }
    Some(mark)
}

/// Writes the alias of a network's bridge; `run` is the run folder of this zubi.
pub fn of_network(network: &Network, run: &Path) -> String {
    format!("{MARK} network {} id={} run={}", network.name, network.id, run_word(run))
}

/// The alias of the same network on a bridge that the host's own configuration made.
pub(crate) fn on_bridge_of_host(of_network: &str) -> String {
    format!("{of_network} {BY_HOST}")
}

/// Reads the alias of a bridge.
pub fn read_network(alias: &str) -> Option<NetworkMark> {
    let mut words = alias.strip_prefix(MARK)?.strip_prefix(" network ")?.split(' ');
    let network = words.next()?.parse().ok()?;
    let id: NetworkId = words.next()?.strip_prefix("id=")?.parse().ok()?;
    let run = words.next()?.strip_prefix("run=")?.to_owned();
    let maker = if words.any(|word| word == BY_HOST) { Maker::Host } else { Maker::Zubi };
    Some(NetworkMark { network, id, run, maker })
}

/// A run folder as it stands in an alias.
pub fn run_word(run: &Path) -> String {
    let mut text = escaped(&run.display().to_string());
    if text.len() > LONGEST_PATH {
        let behind = text.len() - LONGEST_PATH;
        text.replace_range(..behind, "");
    }
    text
}

/// A name of `ip netns` is written as its path.
fn way_text(way: &NsRef) -> String {
    way.path().display().to_string()
}

fn way(text: &str) -> NsRef {
    let named = text.strip_prefix("/run/netns/").and_then(|name| name.parse::<SandboxName>().ok());
    named.map_or_else(|| NsRef::Path(text.into()), NsRef::Named)
}

/// Compact JSON has blanks in strings only, and these values have none there.
fn json_unless_default<T: PartialEq + serde::Serialize>(value: &T, default: &T) -> Option<String> {
    if value == default { None } else { serde_json::to_string(value).ok() }
}

/// Escapes blanks, `%` and everything but printable ASCII, as in a URL.
fn escaped(text: &str) -> String {
    let mut all = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            all.push(byte.into());
        } else {
            // Writing to a string does not fail.
            write!(all, "%{byte:02X}").unwrap_or_default();
        }
    }
    all
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let code = (byte == b'%').then(|| [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')]);
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(&code).ok()?, 16).ok());
        bytes.push(code.unwrap_or(byte));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zubi_model::{Family, SourceMac};

    fn endpoint(spelled: &str, way: &str) -> Endpoint {
        serde_json::from_value(serde_json::json!({
            "id": "cd".repeat(32), "network": "blue", "network_id": "ab".repeat(32),
            "sandbox": {"cookie": 7, "spelled": spelled, "reached_by": {"path": way}},
            "ifname": "eth0", "mac": "02:42:0a:37:42:02",
            "device": {"kind": "pair", "host": "zv0123456789", "bridge": "zb-blue"},
            "addresses": [{"address": "10.55.66.2/24", "gateway": "10.55.66.1"}],
            "default_route": "eligible", "attached_at": 81_273_645
        }))
        .unwrap()
    }

    fn mark_of(endpoint: &Endpoint) -> EndpointMark {
        let alias = of_endpoint(endpoint);
        assert!(alias.len() <= LONGEST_ALIAS, "{alias}");
        read_endpoint(&alias).unwrap()
    }

    #[test]
    fn it_reads_as_it_is_written() {
        let mut one = endpoint("docker:web", "/proc/123/ns/net");
        assert_eq!(of_endpoint(&one), "zubi endpoint blue at=81273645 way=/proc/123/ns/net name=docker:web");
        one.default_route = DefaultRoute::EligibleIn(Family::V6);
        one.traits.source_mac = SourceMac::Own;
        one.traits.metric = Some(7);
        one.aliases = vec!["db".parse().unwrap()];
        let mark = mark_of(&one);
        assert_eq!((mark.default_route, mark.traits, &mark.aliases), (one.default_route, one.traits, &one.aliases));
        assert_eq!(
            (mark.spelled.as_str(), &mark.reached_by, mark.is_whole),
            ("docker:web", &one.sandbox.reached_by, true)
        );
        one.sandbox.reached_by = NsRef::Named("c1".parse().unwrap());
        assert_eq!(mark_of(&one).reached_by, one.sandbox.reached_by);
    }

    #[test]
    fn what_has_no_room_is_said_to_be_missing() {
        let mut one = endpoint("web", "/proc/123/ns/net");
        one.aliases = (0..40).map(|n| format!("name-number-{n}").parse().unwrap()).collect();
        let mark = mark_of(&one);
        assert!(!mark.is_whole && !mark.aliases.is_empty() && mark.aliases.len() < 40);
    }

    #[test]
    fn nonsense_is_no_mark() {
        for alias in ["", "zubi", "zubi endpoint", "zubi endpoint blue", "zubi endpoint blue at=x", "uplink to the lab"]
        {
            assert_eq!(read_endpoint(alias), None, "{alias:?}");
            assert_eq!(read_network(alias), None, "{alias:?}");
        }
    }

    #[test]
    fn long_run_folders_keep_their_end() {
        let long = format!("/{}/run", "x".repeat(400));
        let word = run_word(Path::new(&long));
        assert!(word.len() == LONGEST_PATH && word.ends_with("x/run"));
        assert_eq!(run_word(Path::new("/run/my zubi")), "/run/my%20zubi");
    }

    proptest! {
        #[test]
        fn any_name_and_way_come_back_or_are_said_to_be_missing(name in "\\PC{0,90}", way in "/\\PC{0,90}") {
            let one = endpoint(&name, &way);
            let mark = mark_of(&one);
            if mark.is_whole {
                prop_assert_eq!(mark.spelled, name);
                prop_assert_eq!(mark.reached_by.path(), one.sandbox.reached_by.path());
            }
        }
    }
}
