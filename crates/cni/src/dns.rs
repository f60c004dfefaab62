//! Name servers in a configuration, a result or a resolv.conf.

use crate::error::CniError;
use crate::fields::{Fields, Rest};

/// Name servers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dns {
    /// The servers' addresses, in order.
    pub nameservers: Vec<String>,
    /// The local domain.
    pub domain: Option<String>,
    /// Domains that complete short names.
    pub search: Vec<String>,
    /// Options of the resolver.
    pub options: Vec<String>,
    /// Unknown keys.
    pub rest: Rest,
}

impl Dns {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Dns::default()
    }
}

/// Reads a resolv.conf(5): the last `domain` line and the last `search` line count.
pub fn parse_resolv_conf(text: &str) -> Dns {
    let mut dns = Dns::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => dns.nameservers.extend(words.next().map(str::to_owned)),
            Some("domain") => dns.domain = words.next().map(str::to_owned),
            Some("search") => dns.search = words.map(str::to_owned).collect(),
            Some("options") => dns.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    dns
}

/// Reads the section `dns` of a result or a configuration.
pub(crate) fn read_dns(fields: &Fields<'_>) -> Result<Dns, CniError> {
    let texts = |key| Ok::<_, CniError>(fields.texts(key)?.into_iter().map(str::to_owned).collect());
    Ok(Dns {
        nameservers: texts("nameservers")?,
        domain: fields.text("domain")?.filter(|d| !d.is_empty()).map(str::to_owned),
        search: texts("search")?,
        options: texts("options")?,
        rest: fields.rest(&["nameservers", "domain", "search", "options"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_search_line_of_a_resolv_conf_counts() {
        let text = "# made by hand\nnameserver 10.0.0.53\nnameserver fd00::53\n; old\ndomain a.example\n\
                    search one.example\nsearch two.example three.example\noptions ndots:5 rotate\nsortlist 1.2.3.4\n";
        let dns = parse_resolv_conf(text);
        assert_eq!(dns.nameservers, ["10.0.0.53", "fd00::53"]);
        assert_eq!(dns.domain.as_deref(), Some("a.example"));
        assert_eq!(dns.search, ["two.example", "three.example"]);
        assert_eq!(dns.options, ["ndots:5", "rotate"]);
        assert!(parse_resolv_conf("").is_empty());
    }
}
