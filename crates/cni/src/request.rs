//! Requests: the environment and stdin of a plug-in.

use crate::bridge::network_name;
use crate::context::Context;
use crate::environment::{Attachment, ContainerId, Environment};
use crate::error::{CniError, Code};
use crate::fields::{Fields, shown};
use crate::intent::{Gc, Status, Task, missing_previous};
use crate::plugin::Plugin;
use crate::result::CniResult;
use crate::runtime::Runtime;
use crate::share::{bare_share, share};
use crate::version::Version;
use serde_json::{Map, Value};
use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use zubi_model::{IfName, Invalid};

/// A checked request.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The version to answer in.
    pub version: Version,
    /// What the runtime asks for.
    pub verb: Verb,
}

/// What the runtime asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    /// List the supported versions: see [`versions`](crate::versions).
    Version,
    /// Nothing: a person started the plug-in; see [`about`](crate::about).
    Nothing,
    /// Attach.
    Add(Box<Task>),
    /// Detach.
    Del(Box<Task>),
    /// Verify that all that ADD made is still there.
    Check(Box<Task>),
    /// Free what belongs to no valid attachment.
    Gc(Box<Gc>),
    /// Say whether a container could be attached.
    Status(Box<Status>),
}

/// The largest request that is read, in bytes.
pub const LARGEST_REQUEST: usize = 16 << 20;

/// Reads and checks a request. Ignores variables that the verb does not use.
///
/// DEL and GC accept a configuration that ADD refuses, as long as the names in it are valid.
pub fn parse(plugin: Plugin, env: &Environment, stdin: &[u8]) -> Result<Call, CniError> {
    let document = decode(stdin);
    let requested = document.as_ref().ok().and_then(requested_version);
    let call = match env.command.as_deref().map(OsStr::to_str) {
        None => return Ok(Call { version: Version::NEWEST, verb: Verb::Nothing }),
        Some(Some("VERSION")) => {
            let version = requested.as_deref().and_then(|text| text.parse().ok()).unwrap_or(Version::NEWEST);
            return Ok(Call { version, verb: Verb::Version });
        }
        Some(Some("ADD")) => attachment(plugin, env, document, Phase::Add),
        Some(Some("DEL")) => attachment(plugin, env, document, Phase::Del),
        Some(Some("CHECK")) => attachment(plugin, env, document, Phase::Check),
        Some(Some("GC")) => garbage(plugin, env, document),
        Some(Some("STATUS")) => status(plugin, env, document),
        Some(unknown) => {
            let unknown = unknown.unwrap_or("(not UTF-8)");
            let invalid = Invalid::new("verb", unknown, "is not known");
            Err(CniError::environment("CNI_COMMAND", invalid))
        }
    };
    call.map_err(|error| match requested {
        Some(requested) => error.answering(requested),
        None => error,
    })
}

/// A verb about one attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Add,
    Del,
    Check,
}

type Document = Map<String, Value>;

fn attachment(
    plugin: Plugin,
    env: &Environment,
    document: Result<Document, CniError>,
    phase: Phase,
) -> Result<Call, CniError> {
    let variables = Variables::read(env, phase)?;
    let document = document?;
    let since = if phase == Phase::Check { Version::V0_4_0 } else { Version::V0_1_0 };
    let version = match version(plugin, &document, since) {
        // DEL prints no result, so no format depends on the version.
        Err(_) if phase == Phase::Del => Version::NEWEST,
        version => version?,
    };
    let config = Fields::document(&document);
    let network = name(&config)?;
    let previous = match config.get("prevResult").filter(|v| v.as_object().is_none_or(|o| !o.is_empty())) {
        Some(result) if phase == Phase::Del => CniResult::parse(result).ok(),
        result => result.map(CniResult::parse).transpose()?,
    };
    if plugin.is_chained() && phase == Phase::Add && previous.is_none() {
        return Err(missing_previous(&network));
    }
    let runtime = match Runtime::read(&config, env) {
        Err(_) if phase == Phase::Del => Runtime::default(),
        runtime => runtime?,
    };
    let ifname = if plugin == Plugin::Loopback { IfName::loopback() } else { variables.ifname };
    let context = Context {
        version,
        network: &network,
        container: Some(variables.container.as_str()),
        ifname: Some(ifname.clone()),
        runtime: &runtime,
    };
    let share = match share(plugin, &config, &context) {
        Err(_) if phase == Phase::Del => bare_share(plugin, &config, &context)?,
        share => share?,
    };
    let task = Box::new(Task {
        network,
        container: variables.container,
        netns: variables.netns,
        ifname,
        previous,
        share,
        path: env.search_path(),
        stdin: Value::Object(document),
    });
    let verb = match phase {
        Phase::Add => Verb::Add(task),
        Phase::Del => Verb::Del(task),
        Phase::Check => Verb::Check(task),
    };
    Ok(Call { version, verb })
}

fn garbage(plugin: Plugin, env: &Environment, document: Result<Document, CniError>) -> Result<Call, CniError> {
    let document = document?;
    let version = version(plugin, &document, Version::V1_1_0)?;
    let config = Fields::document(&document);
    let network = name(&config)?;
    let valid = attachments(&config)?;
    let runtime = Runtime::read(&config, &Environment::default()).unwrap_or_default();
    let context = Context { version, network: &network, container: None, ifname: None, runtime: &runtime };
    let share = share(plugin, &config, &context).or_else(|_| bare_share(plugin, &config, &context))?;
    let path = env.search_path();
    let gc = Gc { network, valid, share, path, stdin: Value::Object(document) };
    Ok(Call { version, verb: Verb::Gc(Box::new(gc)) })
}

fn status(plugin: Plugin, env: &Environment, document: Result<Document, CniError>) -> Result<Call, CniError> {
    let document = document?;
    let version = version(plugin, &document, Version::V1_1_0)?;
    let config = Fields::document(&document);
    let network = name(&config)?;
    let runtime = Runtime::read(&config, &Environment::default())?;
    let context = Context { version, network: &network, container: None, ifname: None, runtime: &runtime };
    let share = share(plugin, &config, &context)?;
    let path = env.search_path();
    let status = Status { network, share, path, stdin: Value::Object(document) };
    Ok(Call { version, verb: Verb::Status(Box::new(status)) })
}

/// The variables that name an attachment.
struct Variables {
    container: ContainerId,
    netns: Option<PathBuf>,
    ifname: IfName,
}

impl Variables {
    fn read(env: &Environment, phase: Phase) -> Result<Self, CniError> {
        let (container, ifname) = (env.container.as_deref(), env.ifname.as_deref());
        let netns_missing = env.netns.is_none() && phase != Phase::Del;
        let required =
            [(container.is_none(), "CNI_CONTAINERID"), (netns_missing, "CNI_NETNS"), (ifname.is_none(), "CNI_IFNAME")];
        let missing: Vec<&str> = required.into_iter().filter(|(missing, _)| *missing).map(|(_, name)| name).collect();
        let (Some(container), Some(ifname), []) = (container, ifname, missing.as_slice()) else {
            let msg = format!("required environment variables missing: {}", missing.join(","));
            return Err(CniError::new(Code::Environment, msg));
        };
        // The result repeats the path, and JSON has only text.
        if phase != Phase::Del && env.netns.as_deref().is_some_and(|netns| netns.to_str().is_none()) {
            return Err(CniError::environment("CNI_NETNS", "is not UTF-8"));
        }
        Ok(Variables {
            container: named("CNI_CONTAINERID", container)?,
            netns: env.netns.as_ref().map(PathBuf::from),
            ifname: named("CNI_IFNAME", ifname)?,
        })
    }
}

fn named<T: FromStr>(variable: &str, value: &OsStr) -> Result<T, CniError>
where
    T::Err: fmt::Display,
{
    let text = value.to_str().ok_or_else(|| CniError::environment(variable, "is not UTF-8"))?;
    text.parse().map_err(|e| CniError::environment(variable, e))
}

fn decode(stdin: &[u8]) -> Result<Document, CniError> {
    let failed = |why: String| CniError::new(Code::Decode, "cannot decode the configuration on stdin").detailed(why);
    if stdin.len() > LARGEST_REQUEST {
        return Err(failed(format!("it has {} bytes, more than {LARGEST_REQUEST}", stdin.len())));
    }
    match serde_json::from_slice(stdin) {
        Ok(Value::Object(document)) => Ok(document),
        Ok(other) => Err(failed(format!("it is not an object but {}", shown(&other)))),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// The version as the request has it, for errors; `None` when the text cannot be a version.
fn requested_version(document: &Document) -> Option<String> {
    let text = Fields::document(document).get("cniVersion")?.as_str()?;
    let plausible = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
    (text.len() <= 32 && !text.is_empty() && text.chars().all(plausible)).then(|| text.to_owned())
}

/// The version to answer in. Without `cniVersion` it is the oldest, as in the reference.
fn version(plugin: Plugin, document: &Document, since: Version) -> Result<Version, CniError> {
    let requested = match Fields::document(document).get("cniVersion") {
        None => Version::V0_1_0.as_str(),
        Some(Value::String(text)) if text.is_empty() => Version::V0_1_0.as_str(),
        Some(Value::String(text)) => text,
        Some(other) => {
            let msg = format!("cannot decode cniVersion `{}`", shown(other));
            return Err(CniError::new(Code::Decode, msg).detailed("it is not a string"));
        }
    };
    let supported = || plugin.versions().iter().copied().filter(|v| *v >= since);
    if let Some(version) = supported().find(|v| v.as_str() == requested) {
        return Ok(version);
    }
    let requested = Invalid::new("version", requested, "").value;
    let supported: Vec<&str> = supported().map(Version::as_str).collect();
    let details = format!("config is {requested:?}, plugin {} supports {supported:?} for this verb", plugin.name());
    Err(CniError::new(Code::IncompatibleVersion, "incompatible CNI versions").detailed(details))
}

fn name(config: &Fields<'_>) -> Result<String, CniError> {
    let name = config.text("name")?.ok_or_else(|| CniError::missing("name", "every network has one"))?;
    network_name(name)?;
    Ok(name.to_owned())
}

/// The attachments that still exist. `None` without a list: an empty list frees everything, a missing one nothing.
fn attachments(config: &Fields<'_>) -> Result<Option<Vec<Attachment>>, CniError> {
    // The second key is from drafts of 1.1.0. An attachment in either list still exists.
    let keys = ["cni.dev/valid-attachments", "cni.dev/attachments"];
    if !keys.iter().any(|key| config.mentions(key)) {
        return Ok(None);
    }
    let mut valid = Vec::new();
    for key in keys {
        for fields in config.objects(key)? {
            let text = |key: &str| {
                let missing = || CniError::missing(fields.name(key), "it identifies the attachment");
                fields.text(key)?.filter(|t| !t.is_empty()).map(str::to_owned).ok_or_else(missing)
            };
            let attachment = Attachment { container: text("containerID")?, ifname: text("ifname")? };
            valid.push(attachment);
        }
    }
    valid.sort();
    valid.dedup();
    Ok(Some(valid))
}
