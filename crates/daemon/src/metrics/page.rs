//! The text that Prometheus reads: what the parts counted, and how much there is now.

use crate::counts::Counts;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::atomic::AtomicU64;
use zubi_engine::{EndpointFigures, Figures, Traffic};
use zubi_model::{DaemonStatus, PartState};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDriver {
    driver: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPool {
    network: String,
    subnet: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEndpoints {
    network: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEndpoint {
    network: String,
    sandbox: String,
    device: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPart {
    part: String,
}

/// Name, help, and what of the traffic it is.
type Traffics = (&'static str, &'static str, fn(&Traffic) -> u64);

/// The whole text.
pub(super) fn page(counts: &Counts, status: &DaemonStatus, figures: &Figures) -> Result<String, fmt::Error> {
    let mut now = Registry::with_prefix("zubi");
    register_status(&mut now, status);
    register_networks(&mut now, figures);
    register_endpoints(&mut now, figures);
    let mut text = String::new();
    encode_registry(&mut text, counts.registry())?;
    encode_registry(&mut text, &now)?;
    encode_eof(&mut text)?;
    Ok(text)
}

fn register_status(now: &mut Registry, status: &DaemonStatus) {
    let up: Gauge = Gauge::default();
    up.set(i64::try_from(status.up_for).unwrap_or(i64::MAX));
    now.register_with_unit("up", "How long the daemon has been running", Unit::Seconds, up);
    let failing: Family<OfPart, Gauge> = Family::default();
    for part in &status.parts {
        let is_failing = part.state == PartState::Failing;
        failing.get_or_create(&OfPart { part: part.part.clone() }).set(is_failing.into());
    }
    now.register("part_failing", "1 for a part of the daemon that cannot do its work", failing);
}

fn register_networks(now: &mut Registry, figures: &Figures) {
    let networks: Family<OfDriver, Gauge> = Family::default();
    let (size, taken): (Family<OfPool, Gauge<f64, AtomicU64>>, Family<OfPool, Gauge>) = Default::default();
    for network in &figures.networks {
        networks.get_or_create(&OfDriver { driver: network.driver.to_string() }).inc();
        for pool in &network.pools {
            let of = OfPool { network: network.name.to_string(), subnet: pool.subnet.to_string() };
            #[expect(clippy::cast_precision_loss, reason = "nobody counts the addresses of an IPv6 subnet")]
            size.get_or_create(&of).set(pool.size as f64);
            taken.get_or_create(&of).set(i64::try_from(pool.taken).unwrap_or(i64::MAX));
        }
    }
    now.register("networks", "Networks, by driver", networks);
    now.register("pool_addresses", "Addresses that endpoints of a network can have", size);
    now.register("pool_addresses_taken", "Those that somebody has, or that are kept for somebody", taken);
}

fn register_endpoints(now: &mut Registry, figures: &Figures) {
    let endpoints: Family<OfEndpoints, Gauge> = Family::default();
    for EndpointFigures { network, state, .. } in &figures.endpoints {
        endpoints.get_or_create(&OfEndpoints { network: network.to_string(), state: state.word() }).inc();
    }
    now.register("endpoints", "Endpoints that are connected", endpoints);
    let stopped: Gauge = Gauge::default();
    stopped.set(i64::try_from(figures.stopped).unwrap_or(i64::MAX));
    now.register("stopped_endpoints", "Endpoints that wait for their sandbox to come back", stopped);

    let counted: [Traffics; 8] = [
        ("endpoint_receive_bytes", "What sandboxes received, with Ethernet headers", |t| t.received.bytes),
        ("endpoint_receive_packets", "Frames that sandboxes received", |t| t.received.packets),
        ("endpoint_receive_errors", "Further ones that were damaged", |t| t.received.errors),
        ("endpoint_receive_drops", "Further ones that were dropped", |t| t.received.dropped),
        ("endpoint_transmit_bytes", "What sandboxes sent, with Ethernet headers", |t| t.sent.bytes),
        ("endpoint_transmit_packets", "Frames that sandboxes sent", |t| t.sent.packets),
        ("endpoint_transmit_errors", "Further ones that were damaged", |t| t.sent.errors),
        ("endpoint_transmit_drops", "Further ones that were dropped", |t| t.sent.dropped),
    ];
    for (name, help, read) in counted {
        let family: Family<OfEndpoint, Counter> = Family::default();
        for endpoint in &figures.endpoints {
            let Some(traffic) = &endpoint.traffic else { continue };
            let of = OfEndpoint {
                network: endpoint.network.to_string(),
                sandbox: endpoint.sandbox.clone(),
                device: endpoint.ifname.to_string(),
            };
            family.get_or_create(&of).inc_by(read(traffic));
        }
        now.register(name, help, family);
    }
}
