//! A program file that gives its callers rights that they do not have.

use zubi_lab::{Host, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const PRIVILEGE: i32 = 6;

/// Copies the program to a file system that allows it and gives the copy root's rights. Returns the command of another
/// user that calls it, or the reason why that is impossible.
fn borrowed(host: &Host, rights: &str) -> Result<String, String> {
    let other = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    let made = format!(
        "mkdir -p /run/borrowed && mount -t tmpfs -o mode=755 none /run/borrowed && chmod 755 /run && \
         cp {ZUBI} /run/borrowed/zubi && chmod 755 /run/borrowed/zubi && {rights} /run/borrowed/zubi && {other} true"
    );
    let made = host.shell(&made);
    if made.code == 0 { Ok(format!("{other} /run/borrowed/zubi")) } else { Err(made.err.trim().replace('\n', "; ")) }
}

#[track_caller]
fn refuses_borrowed(test: &str, rights: &str) {
    let host = Host::new(ZUBI);
    let program = match borrowed(&host, rights) {
        Ok(program) => program,
        Err(why) => return skip(test, &why),
    };
    for words in ["ls", "--version", "lab -- true"] {
        host.shell(&format!("{program} {words}")).fails(PRIVILEGE, "setuid");
    }
    host.shell("CNI_COMMAND=VERSION setpriv --reuid=65534 --regid=65534 --clear-groups /run/borrowed/zubi </dev/null")
        .fails(PRIVILEGE, "setuid");
    // For root the rights make no difference.
    host.shell("/run/borrowed/zubi --version").ok();
}

fn a_setuid_program_does_not_start_for_others() {
    refuses_borrowed("a_setuid_program_does_not_start_for_others", "chmod u+s");
}

fn a_program_with_capabilities_does_not_start_for_others() {
    let rights = "setcap cap_net_admin,cap_sys_admin+ep";
    refuses_borrowed("a_program_with_capabilities_does_not_start_for_others", rights);
}

zubi_lab::root_tests!(
    a_setuid_program_does_not_start_for_others,
    a_program_with_capabilities_does_not_start_for_others,
);
