//! The developer's tasks: `cargo xtask WORD`.

mod archive;
mod bench;
mod cache;
mod ci;
mod circles;
mod clients;
mod deb;
mod debian;
mod demo;
mod dist;
mod dist_test;
mod error;
mod gate;
mod graph;
mod imports;
mod initrd;
mod kernel;
mod kernel_image;
mod kernel_tests;
mod layers;
mod libraries;
mod licence;
mod machine;
mod metadata;
mod methods;
mod policy;
mod program;
mod release;
mod rust_tokens;
mod setup;
mod sources;
mod sum;
mod test;
mod test_programs;
mod tree;

use error::Error;
use std::process::ExitCode;

const USAGE: &str = "cargo xtask WORD

  gate           check licences, sources and layers of all dependencies, and circles of files
  setup          install what the tests need (Debian packages, as root; the musl target)
  test [ARGS]    setup, then cargo test --workspace ARGS, with a sum at the end
  demo           installs what it needs, then two sandboxes and a Docker container on one network, pinged and removed
  bench [ARGS]   compare zubi with the raw kernel and its peers: [--quick] [PART..], as root
  kernel [VERSION] [--memory MIB] [--limit SECONDS] -- COMMAND..
                 run a command under Debian's linux 6.1, 6.12 or 7.2, emulated, as root
  kernel-test [VERSION] [WORD..]
                 run tests with these words in their names there; without words, those that ci runs
  debian SUITE [PACKAGE..] -- COMMAND..
                 run a command among the programs of trixie or sid, as root
  client-test SUITE [WORD..]
                 run the tests of Podman, Docker, containerd and CNI with their programs of that suite
  ci             every check that a change must pass: format, lints, gate, demo, tests, also on the oldest kernel
  dist           build the static release: an archive for every distribution, and a Debian package
  dist-test      build it twice and compare; install, upgrade and remove the package in Debian 12 and 13, as root
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["gate"] => gate::run(),
        ["setup"] => {
            setup::run();
            Ok(())
        }
        ["test", args @ ..] => test::run(args),
        ["demo"] => demo::run(),
        ["bench", args @ ..] => bench::run(args),
        ["kernel", words @ ..] => return code(kernel::run(words)),
        ["kernel-test", words @ ..] => kernel_tests::run(words),
        ["debian", words @ ..] => return code(debian::run(words)),
        ["client-test", words @ ..] => clients::run(words),
        [policy::GUARDIAN] => policy::guard(),
        ["ci"] => ci::run(),
        ["dist"] => dist::run(),
        ["dist-test"] => dist_test::run(),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(Error::Usage(words.join(" "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The failures are printed above the sum, which is the last line.
        Err(Error::Tests) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("xtask: {e}");
            ExitCode::FAILURE
        }
    }
}

/// A command's exit code; 125 when the command could not be started.
fn code(done: Result<u8, Error>) -> ExitCode {
    match done {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            eprintln!("xtask: {e}");
            ExitCode::from(125)
        }
    }
}
