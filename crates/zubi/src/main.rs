//! Picks the personality: so far there is one, the command line.

use std::process::ExitCode;

/// `zubi --version` takes 0.38 ms with it and 0.72 ms with musl's own.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    zubi_cli::main()
}
