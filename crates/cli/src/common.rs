//! Options that every command takes.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Common {
    /// Print the plan as shell commands, do nothing
    #[arg(long, global = true, conflicts_with = "dry_run", help_heading = "Common options")]
    pub(crate) explain: bool,
    /// Print the plan and what the kernel already has of it, do nothing
    #[arg(long, global = true, help_heading = "Common options")]
    pub(crate) dry_run: bool,
    /// Print each command as it is done
    #[arg(short, long, global = true, help_heading = "Common options")]
    pub(crate) verbose: bool,
    /// Answer in JSON, errors too
    #[arg(long, global = true, help_heading = "Common options")]
    pub(crate) json: bool,
    /// Where networks are kept [env: ZUBI_STATE_DIR] [default: /var/lib/zubi]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Common options")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Where the records of this boot are kept [env: ZUBI_RUN_DIR] [default: /run/zubi]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Common options")]
    pub(crate) run_dir: Option<PathBuf>,
}
