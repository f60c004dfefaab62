//! Exit codes of commands that start programs, or fail to.

use zubi_lab::{Host, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const NO_SUCH_PROGRAM: i32 = 127;
const NOT_TO_BE_RUN: i32 = 126;
const CONFLICT: i32 = 4;

fn a_program_that_is_not_there_gives_127() {
    let host = Host::new(ZUBI);
    host.zubi("sandbox add c1").ok();
    for words in [
        "sandbox exec c1 -- nosuchprog",
        "run --network none -- nosuchprog",
        "run -d --network none -- nosuchprog",
        "run --network host -- nosuchprog",
        "run --network container:c1 -- nosuchprog",
    ] {
        let told = host.zubi(words).fails(NO_SUCH_PROGRAM, "nosuchprog: No such file or directory").err;
        assert_eq!(told.matches("nosuchprog").count(), 1, "{words}: {told}");
    }
    let told = host.zubi("--json run -d --network none -- nosuchprog");
    let told: serde_json::Value = serde_json::from_str(&told.err).expect("JSON");
    assert_eq!((&told["error"]["code"], &told["error"]["exit"]), (&"not-found".into(), &NO_SUCH_PROGRAM.into()));
}

fn a_program_that_cannot_be_run_gives_126() {
    let host = Host::new(ZUBI);
    host.zubi("sandbox add c1").ok();
    for words in [
        "sandbox exec c1 -- /etc/passwd",
        "run --network none -- /etc/passwd",
        "run -d --network none -- /etc/passwd",
        "run --network host -- /etc/passwd",
    ] {
        host.zubi(words).fails(NOT_TO_BE_RUN, "/etc/passwd: Permission denied");
    }
}

fn a_detached_run_that_cannot_be_made_gives_the_code_of_the_reason() {
    let host = Host::new(ZUBI);
    host.zubi("sandbox add c1").ok();
    host.zubi("run -d --name c1 --network none -- true").fails(CONFLICT, "sandbox c1 exists already");
}

fn without_a_further_process_the_slow_part_is_done_at_once() {
    const TEST: &str = "without_a_further_process_the_slow_part_is_done_at_once";
    let host = Host::new(ZUBI);
    if host.shell("strace -V").code != 0 {
        return skip(TEST, "needs the package strace");
    }
    host.network("blue --subnet 10.55.66.0/24");
    host.container("c1", "blue");
    let refuse =
        "strace -f -o /dev/null -e trace=clone,clone3,fork,vfork -e inject=clone,clone3,fork,vfork:error=EAGAIN";
    let told = host.shell(&format!("{refuse} {ZUBI} disconnect blue c1")).ok();
    assert_eq!(told.out, "c1: disconnected from blue\n");
    assert_eq!(
        host.shell("ls /run/zubi/doomed /run/zubi/stale").ok().out.replace("/run/zubi/", ""),
        "doomed:\n\nstale:\n"
    );
    host.zubi("check").ok();
}

zubi_lab::tests!(
    a_program_that_is_not_there_gives_127,
    a_program_that_cannot_be_run_gives_126,
    a_detached_run_that_cannot_be_made_gives_the_code_of_the_reason,
    without_a_further_process_the_slow_part_is_done_at_once,
);
