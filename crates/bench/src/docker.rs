//! Docker's iptables rules, as its daemon writes them for one bridge network.

use crate::error::Error;
use crate::launch::{Call, Launcher};
use std::net::Ipv4Addr;
use std::path::Path;

/// The bridge that the rules are for.
pub(crate) const BRIDGE: &str = "docker0";
const SUBNET: &str = "10.66.0.0/16";
const FILE: &str = "/run/bench-rules";

/// Loads them, with `ports` published ports from `first` on, all of them to port 80 of `target`.
pub(crate) fn load(restore: &Path, first: u16, ports: u16, target: Ipv4Addr) -> Result<(), Error> {
    let text = rules(first, ports, target);
    std::fs::write(FILE, text).map_err(Error::system(FILE))?;
    let call = Call { input: Some(FILE.into()), ..Call::new(restore, "") };
    Launcher::Timed.run(&call).map(drop)
}

/// A rule and its table.
pub(crate) struct Rule {
    pub(crate) table: &'static str,
    /// The words after `-A` or `-D`.
    pub(crate) words: String,
}

/// The rules of one published port.
pub(crate) fn port(port: u16, target: Ipv4Addr) -> [Rule; 3] {
    let rule = |table, words| Rule { table, words };
    [
        rule("nat", format!("POSTROUTING -s {target}/32 -d {target}/32 -p tcp -m tcp --dport 80 -j MASQUERADE")),
        rule("nat", format!("DOCKER ! -i {BRIDGE} -p tcp -m tcp --dport {port} -j DNAT --to-destination {target}:80")),
        rule("filter", format!("DOCKER -d {target}/32 ! -i {BRIDGE} -o {BRIDGE} -p tcp -m tcp --dport 80 -j ACCEPT")),
    ]
}

fn rules(first: u16, ports: u16, target: Ipv4Addr) -> String {
    let published: Vec<Rule> = (first..first.saturating_add(ports)).flat_map(|number| port(number, target)).collect();
    let of_ports = |table: &str| {
        let lines = published.iter().filter(|rule| rule.table == table);
        lines.fold(String::new(), |all, rule| all + "-A " + &rule.words + "\n")
    };
    let (nat, filter) = (of_ports("nat"), of_ports("filter"));
    format!(
        "*nat\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\n:DOCKER -\n\
         -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n\
         -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER\n\
         -A POSTROUTING -s {SUBNET} ! -o {BRIDGE} -j MASQUERADE\n\
         -A DOCKER -i {BRIDGE} -j RETURN\n\
         {nat}COMMIT\n\
         *filter\n:INPUT ACCEPT\n:FORWARD DROP\n:OUTPUT ACCEPT\n:DOCKER -\n:DOCKER-ISOLATION-STAGE-1 -\n\
         :DOCKER-ISOLATION-STAGE-2 -\n:DOCKER-USER -\n\
         -A FORWARD -j DOCKER-USER\n\
         -A FORWARD -j DOCKER-ISOLATION-STAGE-1\n\
         -A FORWARD -o {BRIDGE} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
         -A FORWARD -o {BRIDGE} -j DOCKER\n\
         -A FORWARD -i {BRIDGE} ! -o {BRIDGE} -j ACCEPT\n\
         -A FORWARD -i {BRIDGE} -o {BRIDGE} -j ACCEPT\n\
         -A DOCKER-ISOLATION-STAGE-1 -i {BRIDGE} ! -o {BRIDGE} -j DOCKER-ISOLATION-STAGE-2\n\
         -A DOCKER-ISOLATION-STAGE-1 -j RETURN\n\
         -A DOCKER-ISOLATION-STAGE-2 -o {BRIDGE} -j DROP\n\
         -A DOCKER-ISOLATION-STAGE-2 -j RETURN\n\
         -A DOCKER-USER -j RETURN\n\
         {filter}COMMIT\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_takes_three_rules() {
        let lines = |ports| rules(20_000, ports, Ipv4Addr::new(10, 66, 0, 3)).lines().count();
        assert_eq!(lines(100) - lines(0), 300);
    }
}
