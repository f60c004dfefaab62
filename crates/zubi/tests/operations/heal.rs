//! One object put right by a call that names it, as an event would.

use crate::resident::engine;
use std::sync::{Arc, Mutex};
use zubi_engine::{Engine, Object, Session};
use zubi_lab::{Host, assert_reaches};
use zubi_model::EndpointKey;

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// c1 and c2 on `blue`, and a link between them.
fn host() -> Host {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.container("c1", "blue");
    host.container("c2", "blue");
    host.zubi("link c1:x0 c2:x0 --address 10.9.9.1/30,10.9.9.2/30").ok();
    host.settle();
    host
}

fn heal(engine: &Engine, object: &Object) -> Vec<String> {
    let mut session = engine.session().expect("a session");
    let healed = session.heal(object).expect("healed");
    session.finish().expect("finish");
    healed
}

/// The endpoint of c1.
fn endpoint(session: &mut Session) -> EndpointKey {
    let views = session.endpoints().expect("endpoints");
    views.iter().find(|view| view.endpoint.sandbox.spelled == "c1").expect("c1").endpoint.key()
}

fn objects(session: &mut Session) -> [Object; 4] {
    let link = session.links().expect("links").remove(0).link.id;
    let network = "blue".parse().expect("a name");
    [Object::Firewall, Object::Network(network), Object::Endpoint(endpoint(session)), Object::Link(link)]
}

fn each_object_is_put_right_alone_and_then_nothing_differs() {
    let host = host();
    let (engine, _worker) = engine();
    let objects = objects(&mut engine.session().expect("a session"));
    let harms = [
        "nft flush chain inet zubi forward",
        "ip addr del 10.55.66.1/24 dev zb-blue",
        "ip -n c1 route del default",
        "ip -n c2 addr del 10.9.9.2/30 dev x0",
    ];
    for (object, harm) in objects.iter().zip(harms) {
        host.zubi("check").ok();
        host.shell(harm).ok();
        assert_eq!(host.zubi("check").code, 1, "{harm}");
        // Whatever else is healed, this is not.
        for other in objects.iter().filter(|other| *other != object) {
            assert_eq!(heal(&engine, other), Vec::<String>::new(), "{other:?} after {harm}");
        }
        assert_ne!(heal(&engine, object), Vec::<String>::new(), "{object:?} after {harm}");
        host.zubi("check").ok();
    }
    assert_reaches("c1", "c2", "10.55.66.3");
    assert_reaches("c1", "c2", "10.9.9.2");
}

fn what_is_in_order_is_not_touched() {
    let _host = host();
    let (engine, _worker) = engine();
    let mut session = engine.session().expect("a session");
    let changes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&changes);
    session.observe(Box::new(move |op| seen.lock().expect("changes").push(op.to_string())));
    for object in objects(&mut session) {
        assert_eq!(session.heal(&object).expect("healed"), Vec::<String>::new(), "{object:?}");
    }
    assert_eq!(*changes.lock().expect("changes"), Vec::<String>::new());
}

fn an_object_that_has_gone_is_not_made_again() {
    let host = host();
    let (engine, _worker) = engine();
    let objects = objects(&mut engine.session().expect("a session"));
    for words in ["link rm c1:x0", "disconnect blue c1", "disconnect blue c2", "network rm blue"] {
        host.zubi(words).ok();
    }
    host.settle();
    for object in &objects {
        assert_eq!(heal(&engine, object), Vec::<String>::new(), "{object:?}");
    }
    assert_eq!(host.zubi("gc").ok().out, "nothing to remove\n");
}

zubi_lab::tests!(
    each_object_is_put_right_alone_and_then_nothing_differs,
    what_is_in_order_is_not_touched,
    an_object_that_has_gone_is_not_made_again
);
