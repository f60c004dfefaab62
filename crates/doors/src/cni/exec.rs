//! Other IPAM plug-ins, started with the same request and environment as ours.

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zubi_cni::{CniError, CniResult, Code, Gc, Status, Task};

/// Runs ADD. If that fails, the caller has to run DEL.
pub(super) fn add(kind: &str, task: &Task) -> Result<CniResult, CniError> {
    let answer = run(kind, &task.path, "ADD", &task.stdin)?;
    let document: Value = serde_json::from_slice(&answer)
        .map_err(|e| CniError::new(Code::Decode, format!("plug-in {kind} answered no result: {e}")))?;
    CniResult::parse(&document).map_err(|e| CniError { msg: format!("plug-in {kind}: {}", e.msg), ..e })
}

pub(super) fn del(kind: &str, task: &Task) -> Result<(), CniError> {
    run(kind, &task.path, "DEL", &task.stdin).map(drop)
}

pub(super) fn check(kind: &str, task: &Task) -> Result<(), CniError> {
    run(kind, &task.path, "CHECK", &task.stdin).map(drop)
}

pub(super) fn gc(kind: &str, gc: &Gc) -> Result<(), CniError> {
    run(kind, &gc.path, "GC", &gc.stdin).map(drop)
}

pub(super) fn status(kind: &str, status: &Status) -> Result<(), CniError> {
    run(kind, &status.path, "STATUS", &status.stdin).map(drop)
}

fn run(kind: &str, path: &[PathBuf], verb: &str, stdin: &Value) -> Result<Vec<u8>, CniError> {
    let program = find(kind, path)?;
    let failed = |doing: &str, e: std::io::Error| {
        CniError::new(Code::Io, format!("plug-in {kind} ({}): cannot {doing} it: {e}", program.display()))
    };
    let mut child = Command::new(&program)
        .env("CNI_COMMAND", verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|e| failed("start", e))?;
    if let Some(mut to) = child.stdin.take() {
        // A plug-in that fails before it reads its request says so by its exit code.
        to.write_all(stdin.to_string().as_bytes()).ok();
    }
    let output = child.wait_with_output().map_err(|e| failed("wait for", e))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(error_of(kind, &output.stdout, output.status))
}

/// The plug-in's own error, unchanged.
fn error_of(kind: &str, stdout: &[u8], status: std::process::ExitStatus) -> CniError {
    let document: Value = serde_json::from_slice(stdout).unwrap_or_default();
    let text = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let msg = text("msg");
    let reason = if msg.is_empty() { status.to_string() } else { msg };
    let code = document.get("code").and_then(Value::as_u64).map_or(Code::Internal, known_code);
    CniError::new(code, format!("plug-in {kind} failed: {reason}")).detailed(text("details"))
}

/// Keeps the codes of the specification and those from 100 on. Any other becomes [`Code::Internal`].
fn known_code(number: u64) -> Code {
    let own = number.checked_sub(100).and_then(|own| u8::try_from(own).ok());
    let known = [
        Code::IncompatibleVersion,
        Code::UnsupportedField,
        Code::UnknownContainer,
        Code::Environment,
        Code::Io,
        Code::Decode,
        Code::Config,
        Code::Netns,
        Code::TryAgain,
        Code::NotAvailable,
        Code::NotAvailableNorReliable,
    ];
    let same = known.into_iter().find(|code| u64::from(code.number()) == number);
    same.or(own.map(Code::Own)).unwrap_or(Code::Internal)
}

fn find(kind: &str, path: &[PathBuf]) -> Result<PathBuf, CniError> {
    if kind.contains('/') || kind.is_empty() {
        return Err(CniError::new(Code::Config, format!("invalid network config: ipam.type `{kind}` is no name")));
    }
    let found = path.iter().map(|folder| folder.join(kind)).find(|candidate: &PathBuf| Path::is_file(candidate));
    found.ok_or_else(|| {
        let folders: Vec<String> = path.iter().map(|p| p.display().to_string()).collect();
        let why = format!("failed to find plug-in {kind} in CNI_PATH [{}]", folders.join(" "));
        CniError::new(Code::Config, why)
    })
}
