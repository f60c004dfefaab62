//! What a developer of zubi runs: `cargo xtask WORD`.

mod bench;
mod ci;
mod demo;
mod dist;
mod error;
mod gate;
mod layers;
mod licence;
mod metadata;
mod program;
mod setup;
mod test;

use error::Error;
use std::process::ExitCode;

const USAGE: &str = "cargo xtask WORD

  gate           check licences, sources and layers of all dependencies
  setup          install what the tests need (Debian packages, as root; the musl target)
  test [ARGS]    setup, then cargo test --workspace ARGS, with a sum at the end
  demo           setup, then two sandboxes and a Docker container on one network, pinged and removed
  bench [ARGS]   measure zubi beside the raw kernel and its peers: [--quick] [PART..], as root
  ci             format, lints, gate, demo, test: what must be green
  dist           build the static release
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
        ["ci"] => ci::run(),
        ["dist"] => dist::run(),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => Err(Error::Usage(words.join(" "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // What failed in them is printed above their last line, which is the sum.
        Err(Error::Tests) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("xtask: {e}");
            ExitCode::FAILURE
        }
    }
}
