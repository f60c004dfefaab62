//! What a killed command left, and the next command cannot undo at once.

use zubi_lab::Host;

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
/// More netlink messages than the undo of one endpoint takes.
const BEYOND: usize = 20;

fn an_undo_that_the_kernel_refuses_is_named_and_stops_no_other_work() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("sandbox add c1").ok();
    host.zubi("sandbox add c2").ok();
    let mut named = 0;
    for n in 1..=BEYOND {
        host.shell(&format!("ZUBI_FAULT=kill:12 {ZUBI} connect blue c1")).fails(137, "");
        let next = host.shell(&format!("ZUBI_FAULT=message:{n} {ZUBI} connect blue c2"));
        if next.err.contains("note: the work of a killed command cannot be undone yet: ") {
            assert_eq!(next.code, 0, "{n}: {}", next.err);
            named += 1;
        }
        let said = host.zubi("disconnect blue c2").ok().err;
        assert!(!said.contains("killed command"), "{n}: {said}");
        host.zubi("repair").ok();
        host.zubi("check").ok();
    }
    assert!(named > 0);
}

zubi_lab::tests!(an_undo_that_the_kernel_refuses_is_named_and_stops_no_other_work);
