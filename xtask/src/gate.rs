//! The gate: which dependencies may enter the project, and which circles of files.

use crate::error::Error;
use crate::metadata::{Follow, Metadata, Package};
use crate::{circles, layers, licence};

/// Prints every violation with the path that leads to it.
pub(crate) fn run() -> Result<(), Error> {
    let metadata = Metadata::load()?;
    let reached = metadata.reached(metadata.ours(), Follow::All);
    let mut violations = Vec::new();
    for (package, way) in &reached {
        if let Some(why) = licence_violation(package).or_else(|| source_violation(&metadata, package)) {
            violations.push(format!("{} {}: {why}: {way}", package.name, package.version));
        }
    }
    violations.extend(layers::violations(&metadata));
    violations.extend(circles::violations(&metadata.workspace_root)?);
    for violation in &violations {
        println!("{violation}");
    }
    if violations.is_empty() {
        println!("gate: {} packages; licences, sources, layers and circles of files in order", reached.len());
        Ok(())
    } else {
        Err(Error::Gate(violations.len()))
    }
}

fn licence_violation(package: &Package) -> Option<String> {
    match &package.license {
        None => Some("names no licence".into()),
        Some(expression) if !licence::is_satisfiable(expression) => Some(format!("licence `{expression}`")),
        Some(_) => None,
    }
}

/// Others cannot build git checkouts, other registries and paths outside the workspace.
fn source_violation(metadata: &Metadata, package: &Package) -> Option<String> {
    match &package.source {
        None if metadata.is_ours(package) => None,
        None => Some("comes from a path outside the workspace".into()),
        Some(source) if source.starts_with("registry+") && source.ends_with("/crates.io-index") => None,
        Some(source) => Some(format!("comes from {source}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(source: Option<&str>) -> Option<String> {
        let package =
            serde_json::json!({"id": "x", "name": "x", "version": "1.0.0", "license": "MIT", "source": source});
        let metadata = serde_json::json!({
            "packages": [], "workspace_members": ["ours"], "target_directory": "/t", "workspace_root": "", "resolve": {"nodes": []},
        });
        source_violation(&serde_json::from_value(metadata).unwrap(), &serde_json::from_value(package).unwrap())
    }

    #[test]
    fn only_the_crates_registry_is_a_source() {
        assert_eq!(judged(Some("registry+https://example.org/crates.io-index")), None);
        for bad in [None, Some("git+https://example.org/x#1"), Some("registry+https://example.org/index")] {
            assert!(judged(bad).is_some(), "{bad:?}");
        }
    }
}
