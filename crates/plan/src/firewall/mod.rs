//! The nftables table of zubi: made once per host; afterwards only elements change.
//!
//! # How it works
//! Sets hold the data about networks and endpoints, and the rules only look them up, so neither the number of rules nor
//! the cost of a packet grows with the number of endpoints.
//!
//! | set | key | holds |
//! |---|---|---|
//! | `bridges` | device | bridges of networks that the outside reaches by published ports only |
//! | `sealed` | device | those of `bridges` whose endpoints reach no other network, open ones included |
//! | `open` | device | bridges of networks that everybody reaches |
//! | `apart` | device | those of `open` whose endpoints do not reach each other's networks |
//! | `internal` | device | bridges of networks without a way out |
//! | `icc` | device . device | each bridge whose endpoints may reach each other, with itself |
//! | `home4`, `home6` | device . prefix | where each subnet lives |
//! | `subnets4`, `subnets6` | prefix | every subnet of the networks in `bridges` |
//! | `private4`, `private6` | prefix | those of `subnets` that leave with the host's address |
//! | `masquerade4`, `masquerade6` | prefix | every subnet that leaves with the host's address |
//! | `endpoints4`, `endpoints6` | device . address | addresses that were given to endpoints |
//! | `same` | device . device | each bridge with itself |
//! | `itself4`, `itself6` | address . address | endpoints with published ports, each with itself |
//! | `untouched4`, `untouched6` | address | endpoints whose published ports leave every source as it is |
//! | `hidden4`, `hidden6` | address | endpoints whose published ports show no source but the host |
//! | `closed` | family | families for which zubi made a router of a host that was none |
//!
//! | map | from | to |
//! |---|---|---|
//! | `publish4`, `publish6` | protocol . port, at any address of the host | address . port of an endpoint |
//! | `publish_at4`, `publish_at6` | host address . protocol . port | address . port |
//! | `ranges4`, `ranges6` | host prefix . protocol . ports | address; the port stays |
//! | `names4`, `names6` | device . protocol . port of name servers | the host's address, which answers |
//!
//! - `guard` (raw): packets to a private subnet that come neither from its own bridge nor from another one of ours are
//!   dropped before connection tracking: container addresses cannot be reached by routing. Replies to masqueraded
//!   connections still carry the host's address here. For subnets that are not masqueraded this would be too early. What
//!   comes from a bridge of ours is left to `forward`, unless it is for the host's own address in that subnet: while
//!   bridges pass frames to the firewall (`bridge-nf-call-iptables`), a frame to a container that routes between two
//!   networks has an address of the other network, and the bridge only passes it on. And only the host itself reaches
//!   127.0.0.0/8 or sends from there: the bridges have `route_localnet`, without which no port could be published there.
//! - `translated`, `sent`, and what `forward` accepts: what goes to one of `bridges` gets the mark without which they take
//!   nothing (`backstop.rs`). `translated` is for frames that a bridge sends on to itself while bridges pass frames to the
//!   firewall: they meet its filter before they meet `forward`.
//! - `prerouting`, `output`: packets for this host, and no others, are looked up in the maps (`publish`). Forwarded
//!   packets are never taken, with one exception: on networks that redirect questions (`names`), what leaves the subnet
//!   for port 53 is led to the host's address, whoever it was sent to. `::1` cannot be translated: the kernel's routing
//!   drops what comes back to it.
//! - `input`: the same as `guard` for the addresses that the host itself has in other networks' subnets.
//! - `forward`: new connections leave from endpoint addresses only, and reach neither other networks nor, from outside,
//!   any endpoint, except by a published port. Established ones pass. Networks in `open` are neither checked nor
//!   guarded. A TCP connection from a masqueraded subnet that the kernel no longer tracks is reset: the kernel would
//!   take its next segment for a new connection, and where the server of an unpublished port speaks first and has the
//!   same port inside, the old connection would go on. On a host that was no router before (`closed`), the last rule
//!   drops what neither comes from nor goes to a bridge, of whichever program, or a device of a link: without zubi it
//!   would not have passed.
//! - `postrouting`: what leaves a masqueraded subnet by another device takes the host's address. So does what comes
//!   back to its own network by a published port (or the reply would go past the host), and what the host sends from
//!   127.0.0.0/8.
//!
//! Single ports are elements of hash maps. A range that keeps its numbers is one element of an interval map; one that
//! shifts them takes an element for each port, since nft has no map with an offset.
//!
//! # Limits
//! On a network without icc, and while bridges pass frames to the firewall (`bridge-nf-call-iptables`), its own
//! endpoints do not reach its published ports: the frame is translated on the bridge, which passes none between
//! isolated ports.
//!
//! An `accept` here cannot overrule another table's drop.

mod elements;
mod layout;

pub(crate) use elements::bridge_elements;
pub use elements::{closed, endpoint_element, endpoint_elements, itself_elements, port_elements};
pub use layout::{CLOSED, TABLE, chains, layout, rules, sets, uses};
