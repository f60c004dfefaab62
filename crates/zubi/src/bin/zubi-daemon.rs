//! The daemon's program; `zubi daemon` executes it.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Err(e) = zubi_kernel::process::refuse_borrowed_rights() {
        zubi_kernel::Stream::Err.tell(&format!("zubi-daemon: {e}\n"));
        return ExitCode::from(zubi_engine::Class::Privilege as u8);
    }
    zubi_daemon::main()
}
