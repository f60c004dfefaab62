//! Who answers names for a named sandbox, as `ip netns exec` tells programs.

use crate::{FileKind, Op, Plan, SandboxFile, What};
use std::net::IpAddr;
use zubi_model::{Endpoint, NsRef};

/// The domain that its names are searched in.
const SEARCHED: &str = "zubi.internal";

/// The files of the sandbox that an endpoint is in, if it has a name of its own.
fn files(endpoint: &Endpoint, servers: &[IpAddr]) -> Vec<SandboxFile> {
    let NsRef::Named(sandbox) = &endpoint.sandbox.reached_by else { return Vec::new() };
    let file = |kind, text| SandboxFile { sandbox: sandbox.clone(), cookie: endpoint.sandbox.cookie, kind, text };
    let mut lines: Vec<String> = servers.iter().map(|address| format!("nameserver {address}\n")).collect();
    lines.push(format!("search {SEARCHED}\n"));
    let mut hosts = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
    if let Some(name) = endpoint.sandbox.host_name() {
        // An address by DHCP is known only later, and may become another one: the daemon has it.
        let leased = endpoint.dhcp.as_ref().map(|dhcp| IpAddr::from(dhcp.lease.address.addr()));
        let own = endpoint.addresses.iter().map(|one| one.address.addr());
        hosts.extend(own.filter(|own| Some(*own) != leased).map(|own| format!("{own} {name}\n")));
    }
    vec![file(FileKind::Servers, lines.concat()), file(FileKind::Hosts, hosts)]
}

/// Writes the files for the endpoint whose network answers its sandbox's questions.
pub fn write(endpoint: &Endpoint, servers: &[IpAddr]) -> Plan {
    const WHY: &str = "who answers names, for programs that ip netns exec starts";
    files(endpoint, servers).into_iter().map(|file| Op::host(What::WriteFile(file), WHY)).collect()
}

/// Removes the files of an endpoint's sandbox.
pub fn remove(endpoint: &Endpoint) -> Plan {
    const WHY: &str = "nobody answers names there any more";
    files(endpoint, &[]).into_iter().map(|file| Op::host(What::DeleteFile(file), WHY)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn only_a_named_sandbox_has_files_and_they_say_whose_they_are() {
        let network = samples::network("blue", &["10.55.66.0/24"]);
        let mut endpoint = samples::endpoint(&network);
        endpoint.sandbox.reached_by = NsRef::Named("c1".parse().unwrap());
        let plan = write(&endpoint, &["10.55.66.1".parse().unwrap()]);
        let commands: Vec<String> = plan.ops.iter().map(ToString::to_string).collect();
        let mark =
            format!("# zubi made this file for namespace {}; without this line it is yours", endpoint.sandbox.cookie);
        assert_eq!(
            commands[0],
            format!(
                "mkdir -p /etc/netns/c1 && printf '{mark}\\nnameserver 10.55.66.1\\nsearch zubi.internal\\n' \
                 >/etc/netns/c1/resolv.conf"
            )
        );
        assert!(commands[1].ends_with(">/etc/netns/c1/hosts"), "{}", commands[1]);
        assert_eq!(
            remove(&endpoint).ops[0].to_string(),
            "rm -f /etc/netns/c1/resolv.conf && rmdir --ignore-fail-on-non-empty /etc/netns/c1"
        );
        endpoint.sandbox.reached_by = NsRef::Path("/proc/7/ns/net".into());
        assert!(write(&endpoint, &[]).is_empty());
    }
}
