//! `dhcp`: zubi's plug-ins take and keep leases themselves, so nothing is left for this one.
//!
//! Its daemon ends at once, with success: a unit that starts it is not to fail. `zubi install` leaves the reference's plug-in
//! where it is, since other main plug-ins need it.

use crate::answer::{code, deliver, tell};
use crate::input;
use std::process::ExitCode;
use zubi_cni::{CniError, Code, Environment, LARGEST_REQUEST, Plugin, Verb, parse, versions};

/// Answers as the daemon or the plug-in.
pub(crate) fn answer_as_dhcp() -> ExitCode {
    const DAEMON: &str =
        "zubi takes DHCP leases itself, so that no daemon is needed; zubi lease renew --all renews them";
    if std::env::args_os().nth(1).is_some_and(|word| word == "daemon") {
        tell(DAEMON);
        return ExitCode::SUCCESS;
    }
    let env = Environment::read(|name| std::env::var_os(name));
    if env.command.is_none() {
        tell(DAEMON);
        return ExitCode::SUCCESS;
    }
    match plug_in(&env) {
        Ok(Some(document)) => code(deliver(&document), ExitCode::SUCCESS),
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => code(deliver(&error.to_json().to_string()), ExitCode::FAILURE),
    }
}

/// Only main plug-ins of other programs call this one.
fn plug_in(env: &Environment) -> Result<Option<String>, CniError> {
    let stdin = input::read(None, LARGEST_REQUEST)
        .map_err(|e| CniError::new(Code::Io, format!("cannot read the request from stdin: {e}")))?;
    // It reads the same requests as `static`, whose configuration may be anything here.
    let call = parse(Plugin::Static, env, &stdin)?;
    let code = match call.verb {
        Verb::Version => return Ok(Some(versions(Plugin::Static, call.version).to_string())),
        // There is nothing to free.
        Verb::Nothing | Verb::Del(_) | Verb::Gc(_) => return Ok(None),
        Verb::Status(_) => Code::NotAvailable,
        Verb::Add(_) | Verb::Check(_) => Code::UnsupportedField,
    };
    let why = "zubi asks DHCP servers for `bridge`, `macvlan`, `ipvlan` and `zubi` only; for other main plug-ins put the \
               reference's dhcp here";
    Err(CniError::new(code, format!("ipam.type dhcp: {why}")).answering(call.version.as_str()))
}
