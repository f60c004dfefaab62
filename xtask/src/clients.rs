//! `cargo xtask client-test SUITE [WORD..]`: the tests of runtimes and CNI, with the programs of another release.

use crate::debian::Debian;
use crate::error::Error;
use crate::setup;
use crate::test::Run;
use crate::test_programs::TestProgram;
use std::process::Command;

/// The harness's option for tests with real daemons.
const WITH_DAEMONS: &str = "--root";

/// Runs the tests with real daemons, all or those with any of these words in their names; the last line is the sum.
pub(crate) fn run(words: &[&str]) -> Result<(), Error> {
    let [suite, words @ ..] = words else { return Err(Error::Usage("client-test".into())) };
    let words = &[&[WITH_DAEMONS][..], words].concat();
    let programs = TestProgram::build("zubi", words)?;
    let other = Debian::open(suite)?;
    other.install(&setup::packages_of_clients())?;
    let mut run = Run::bare()?;
    println!("\ntests among the programs of Debian {suite}");
    other.enter()?;
    for program in programs {
        run.program(Command::new(&program.path).args(words).current_dir(&program.folder))?;
    }
    run.end()
}
