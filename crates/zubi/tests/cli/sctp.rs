//! SCTP ports, where the kernel has SCTP: Debian's kernels do, as a module.

use zubi_lab::{Capability, Host, Outside, SctpListener, need};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

fn a_published_sctp_port_is_reached_until_it_is_removed() {
    if !need(&[Capability::Sctp], "a_published_sctp_port_is_reached_until_it_is_removed") {
        return;
    }
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.network("blue --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    host.zubi("sandbox add c1").ok();
    host.zubi("connect blue c1 -p 8080:80/sctp").ok();
    for (inside, published, client) in
        [("10.55.66.2:80", "192.0.2.1:8080", Outside::V4), ("[fd00:55::2]:80", "[2001:db8::1]:8080", Outside::V6)]
    {
        let listener = SctpListener::start("c1", inside);
        assert_eq!(listener.asked("outside", published), Some(client.parse().expect("address")), "{published}");
        assert!(listener.asked("host", published).is_some(), "the host does not reach {published}");
    }
    host.zubi("check").ok();
    host.zubi("port rm blue c1 8080:80/sctp").ok();
    let listener = SctpListener::start("c1", "10.55.66.2:80");
    assert_eq!(listener.asked("outside", "192.0.2.1:8080"), None);
}

zubi_lab::tests!(a_published_sctp_port_is_reached_until_it_is_removed);
