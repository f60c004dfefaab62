//! `cargo xtask kernel [VERSION] [--memory MIB] [--limit SECONDS] -- COMMAND..`: a command under another kernel.

use crate::error::Error;
use crate::kernel_image::KernelImage;
use crate::machine::{Machine, PACKAGES, Size};
use crate::setup;
use std::io::{self, Write};
use std::time::Duration;

/// The oldest kernel that zubi supports.
pub(crate) const OLDEST: &str = "6.1";

/// Runs the command and returns its exit code.
pub(crate) fn run(words: &[&str]) -> Result<u8, Error> {
    let asked = Asked::read(words).ok_or_else(|| Error::Usage(format!("kernel {}", words.join(" "))))?;
    setup::install(&PACKAGES)?;
    let machine = Machine::new(KernelImage::fetch(asked.version)?, asked.size)?;
    machine.run(asked.command, |line| {
        let mut out = io::stdout();
        out.write_all(line)?;
        out.flush()
    })
}

#[derive(Debug)]
struct Asked<'a> {
    version: &'a str,
    size: Size,
    command: &'a [&'a str],
}

impl<'a> Asked<'a> {
    fn read(words: &'a [&'a str]) -> Option<Self> {
        let mut asked = Asked { version: OLDEST, size: Size::default(), command: &[] };
        let mut rest = words;
        loop {
            rest = match rest {
                ["--", command @ ..] if !command.is_empty() => return Some(Asked { command, ..asked }),
                ["--memory", mib, rest @ ..] => {
                    asked.size.memory = mib.parse().ok()?;
                    rest
                }
                ["--limit", seconds, rest @ ..] => {
                    asked.size.limit = Duration::from_secs(seconds.parse().ok()?);
                    rest
                }
                [version, rest @ ..] if version.starts_with(char::is_numeric) => {
                    asked.version = version;
                    rest
                }
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_behind_two_dashes_is_the_command() {
        let words = ["6.12", "--limit", "60", "--", "uname", "--", "-r"];
        let asked = Asked::read(&words).unwrap();
        assert_eq!((asked.version, asked.size.limit.as_secs()), ("6.12", 60));
        assert_eq!(asked.command, ["uname", "--", "-r"]);
        assert!(Asked::read(&["6.12", "--"]).is_none() && Asked::read(&["uname"]).is_none());
    }
}
