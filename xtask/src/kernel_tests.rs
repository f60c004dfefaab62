//! `cargo xtask kernel-test [VERSION] [WORD..]`: tests of the program under another kernel.

use crate::error::Error;
use crate::kernel::OLDEST;
use crate::kernel_image::KernelImage;
use crate::machine::{Machine, PACKAGES, Size, quoted};
use crate::setup;
use crate::sum::Sum;
use crate::test::Run;
use crate::test_programs::TestProgram;
use std::io::{self, Write};
use std::time::Duration;

/// What CI runs on the oldest kernel: words of test names. All that is known to differ between kernels, and of the rest
/// what a user does first.
const SHORT: [&str; 1] = ["containers_reach_each_other"];
/// Of all tests there are, emulated.
const LIMIT: Duration = Duration::from_secs(3 * 3600);

/// Runs the tests with any of these words in their names, or those of CI, and sums up in the last line.
pub(crate) fn run(words: &[&str]) -> Result<(), Error> {
    let (version, words) = match words {
        [version, words @ ..] if version.starts_with(char::is_numeric) => (*version, words),
        words => (OLDEST, words),
    };
    let mut run = Run::bare()?;
    setup::install(&PACKAGES)?;
    let kernel = KernelImage::fetch(version)?;
    on_kernel(&mut run, kernel, if words.is_empty() { &SHORT } else { words })?;
    run.end()
}

/// CI's part: without a machine the tests are skipped.
pub(crate) fn add_to(run: &mut Run) -> Result<(), Error> {
    match setup::install(&PACKAGES).and_then(|()| KernelImage::fetch(OLDEST)) {
        Ok(kernel) => on_kernel(run, kernel, &SHORT),
        Err(why) => run.skip(&format!("tests on linux {OLDEST}: {why}")),
    }
}

fn on_kernel(run: &mut Run, kernel: KernelImage, words: &[&str]) -> Result<(), Error> {
    let programs = TestProgram::build("zubi", words)?;
    println!("\ntests on linux {}, emulated", kernel.release);
    let machine = Machine::new(kernel, Size { limit: LIMIT, ..Size::default() })?;
    // One after the other, whatever becomes of each.
    let all: String = programs.iter().map(|program| line_for_shell(program, words)).collect();
    let mut sum = Sum::default();
    let mut ended = 0;
    machine.run(&["sh", "-c", &all], |line| {
        if let Some(more) = Sum::read(&String::from_utf8_lossy(line)) {
            sum += more;
            ended += 1;
        }
        let mut out = io::stdout();
        out.write_all(line)?;
        out.flush()
    })?;
    run.add(sum);
    for line in machine.skipped()? {
        run.skip(&line)?;
    }
    if ended < programs.len() {
        run.broken(format!("{} of {} test programs on linux", programs.len() - ended, programs.len()));
    }
    Ok(())
}

fn line_for_shell(program: &TestProgram, words: &[&str]) -> String {
    let folder = quoted(&program.folder.to_string_lossy());
    let path = quoted(&program.path.to_string_lossy());
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("cd {folder} && {path} {}\n", words.join(" "))
}
