//! The packages of the workspace and all their dependencies, from `cargo metadata` (The Cargo Book, "cargo metadata").

use crate::error::Error;
use crate::program::{cargo, output};
use serde::Deserialize;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::process::Stdio;

/// The dependency graph.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) workspace_members: Vec<String>,
    pub(crate) target_directory: PathBuf,
    pub(crate) workspace_root: PathBuf,
    resolve: Resolve,
}

/// A package at one version.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    #[serde(default)]
    pub(crate) manifest_path: PathBuf,
    /// `None` for a path.
    pub(crate) source: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DepKind>,
}

#[derive(Debug, Deserialize)]
struct DepKind {
    kind: Option<String>,
}

/// Which dependencies to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    /// Those that are part of the program.
    Normal,
    /// Those of builds and tests too.
    All,
}

impl Metadata {
    /// Runs cargo; offline if everything is here already, since the lock file alone decides.
    pub(crate) fn load() -> Result<Metadata, Error> {
        let ask = || {
            let mut command = cargo();
            command.args(["metadata", "--format-version", "1", "--locked"]);
            command
        };
        let offline = ask().arg("--offline").stderr(Stdio::null()).output();
        let json = match offline {
            Ok(answer) if answer.status.success() => answer.stdout,
            _ => output(&mut ask())?,
        };
        Ok(serde_json::from_slice(&json)?)
    }

    /// Whether the package belongs to this workspace.
    pub(crate) fn is_ours(&self, package: &Package) -> bool {
        self.workspace_members.contains(&package.id)
    }

    /// The packages of this workspace.
    pub(crate) fn ours(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.is_ours(package))
    }

    /// The direct dependencies of a package.
    pub(crate) fn direct(&self, id: &str, follow: Follow) -> Vec<&str> {
        let node = self.resolve.nodes.iter().find(|node| node.id == id);
        let deps = node.map(|node| node.deps.as_slice()).unwrap_or_default();
        let wanted = |dep: &&Dependency| follow == Follow::All || dep.dep_kinds.iter().any(|kind| kind.kind.is_none());
        deps.iter().filter(wanted).map(|dep| dep.pkg.as_str()).collect()
    }

    /// All packages reached from the given ones, each with the shortest path to it, in names.
    pub(crate) fn reached<'a>(
        &'a self,
        from: impl Iterator<Item = &'a Package>,
        follow: Follow,
    ) -> Vec<(&'a Package, String)> {
        let by_id: HashMap<&str, &Package> = self.packages.iter().map(|one| (one.id.as_str(), one)).collect();
        let mut ways: HashMap<&str, String> = HashMap::new();
        let mut queue = VecDeque::new();
        for package in from {
            ways.insert(&package.id, package.name.clone());
            queue.push_back(package.id.as_str());
        }
        let mut reached = Vec::new();
        while let Some(id) = queue.pop_front() {
            let Some(package) = by_id.get(id) else { continue };
            let way = ways[id].clone();
            for next in self.direct(id, follow) {
                if !ways.contains_key(next)
                    && let Some(next_package) = by_id.get(next)
                {
                    ways.insert(next, format!("{way} -> {}", next_package.name));
                    queue.push_back(next);
                }
            }
            reached.push((*package, way));
        }
        reached
    }
}
