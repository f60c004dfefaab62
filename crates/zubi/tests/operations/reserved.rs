//! Endpoints that are reserved before their sandbox exists.

use crate::resident::engine;
use zubi_engine::{Act, Engine, Error};
use zubi_lab::{Host, Snapshot, assert_reaches};
use zubi_model::{EndpointId, Mac, NetworkName, Reservation, Wishes};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

fn blue() -> NetworkName {
    "blue".parse().expect("a name")
}

fn id() -> EndpointId {
    EndpointId::from_random([0x5a; 32])
}

fn reserve(engine: &Engine) -> Reservation {
    let wishes = Wishes { aliases: vec!["db".parse().expect("a name")], ..Wishes::default() };
    let mut session = engine.session().expect("a session");
    session.reserve_endpoint(&blue(), &id(), &wishes).expect("reserved")
}

/// Attaches a sandbox by the reservation.
fn attach(engine: &Engine, sandbox: &str) -> Result<zubi_model::Endpoint, Error> {
    let wishes = Wishes { reservation: Some(id()), ..Wishes::default() };
    let mut session = engine.session().expect("a session");
    let attached = session.attach(&blue(), &sandbox.parse().expect("a sandbox"), &wishes, Act::Apply);
    session.finish().expect("finish");
    attached.map(|report| report.value.endpoint)
}

fn detach(engine: &Engine, sandbox: &str) {
    let mut session = engine.session().expect("a session");
    session.detach(&blue(), &sandbox.parse().expect("a sandbox"), Act::Apply).expect("detached");
    session.finish().expect("finish");
}

fn host() -> Host {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("sandbox add c1").ok();
    host.zubi("sandbox add c2").ok();
    host
}

fn what_is_reserved_is_what_the_endpoint_gets_before_and_after() {
    let host = host();
    let (engine, worker) = engine();
    let reserved = reserve(&engine);
    assert_eq!(reserved.addresses[0].address.to_string(), "10.55.66.2/24");
    // Nobody else gets it.
    assert_eq!(host.container("other", "blue"), "10.55.66.3");
    host.zubi("connect blue c2 --ip 10.55.66.2").fails(4, "10.55.66.2 is taken");
    for sandbox in ["c1", "c2"] {
        let endpoint = attach(&engine, sandbox).expect("attached");
        assert_eq!((&endpoint.id, Some(endpoint.mac)), (&id(), reserved.mac));
        assert_eq!(endpoint.addresses, reserved.addresses);
        assert!(endpoint.names().iter().any(|name| name.as_str() == "db"));
        assert_reaches("other", sandbox, "10.55.66.2");
        host.zubi("check").ok();
        detach(&engine, sandbox);
        host.zubi("connect blue c1 --ip 10.55.66.2").fails(4, "10.55.66.2 is taken");
    }
    // A sandbox that dies leaves the reservation too.
    attach(&engine, "c1").expect("attached");
    assert!(worker.settle().is_empty());
    host.shell("ip netns del c1").ok();
    // The kernel takes its time for the devices of a namespace.
    host.wait_for("[ $(ip -br link show type veth | grep -c ^zv) = 1 ]");
    assert_eq!(attach(&engine, "c2").expect("attached").addresses, reserved.addresses);
    detach(&engine, "c2");
    assert!(worker.settle().is_empty());
    host.settle();
}

fn one_reservation_serves_one_sandbox() {
    let host = host();
    let (engine, _worker) = engine();
    assert!(matches!(attach(&engine, "c1"), Err(Error::NoReservation { .. })));
    reserve(&engine);
    let before = Snapshot::take();
    attach(&engine, "c1").expect("attached");
    let refused = attach(&engine, "c2").expect_err("a second sandbox").to_string();
    assert!(refused.contains("is attached to c1"), "{refused}");
    let mut session = engine.session().expect("a session");
    assert!(matches!(session.unreserve_endpoint(&blue(), &id()), Err(Error::ReservationInUse { .. })));
    host.zubi("check").ok();
    host.shell("ip netns exec c1 ping -c 1 -W 5 10.55.66.1").ok();
    detach(&engine, "c1");
    host.settle();
    before.assert_no_residue(&Snapshot::take());
    session.unreserve_endpoint(&blue(), &id()).expect("released");
    session.unreserve_endpoint(&blue(), &id()).expect("released before");
    host.zubi("connect blue c2 --ip 10.55.66.2").ok();
}

fn a_reserved_endpoint_survives_every_repair_and_keeps_its_wishes() {
    let host = host();
    let (engine, _worker) = engine();
    let mac: Mac = "02:00:00:00:00:99".parse().expect("a MAC");
    let wishes = Wishes {
        addresses: vec!["10.55.66.77".parse().expect("an address")],
        mac: zubi_model::MacWish::Given(mac),
        ..Wishes::default()
    };
    let mut session = engine.session().expect("a session");
    session.reserve_endpoint(&blue(), &id(), &wishes).expect("reserved");
    for words in ["check", "gc", "repair", "network set blue --mtu 1400"] {
        host.zubi(words).ok();
    }
    let again = session.reserve_endpoint(&blue(), &id(), &Wishes::default());
    assert!(matches!(again, Err(Error::Reserved { .. })), "{again:?}");
    let endpoint = attach(&engine, "c1").expect("attached");
    assert_eq!((endpoint.mac, endpoint.addresses[0].address.addr().to_string()), (mac, "10.55.66.77".to_owned()));
    host.zubi("network rm blue").fails(4, "c1");
}

zubi_lab::tests!(
    what_is_reserved_is_what_the_endpoint_gets_before_and_after,
    one_reservation_serves_one_sandbox,
    a_reserved_endpoint_survives_every_repair_and_keeps_its_wishes
);
