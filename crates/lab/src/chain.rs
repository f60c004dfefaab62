//! Network configuration lists, run as libcni runs them (CNI 1.1, "Execution of Network Configurations").

use crate::cni::{Attachment, Caller, Reply, Verb};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The newest supported version.
const NEWEST: [u32; 3] = [1, 1, 0];

/// A `.conflist` and the results of the attachments to it, which libcni keeps between its calls.
#[derive(Debug, Clone)]
pub struct Chain {
    caller: Caller,
    list: Value,
    results: BTreeMap<(String, String), (Attachment, Value)>,
}

/// What DEL passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrevResult {
    /// The result of ADD, as libcni 0.4.0 and later does.
    Kept,
    /// Nothing, as when the runtime has lost it.
    Lost,
}

impl Chain {
    /// A chain of these plug-ins, with the content of a `.conflist`.
    pub fn new(caller: &Caller, list: Value) -> Self {
        Chain { caller: caller.clone(), list, results: BTreeMap::new() }
    }

    /// The list, for changes between calls such as an administrator makes.
    pub fn list_mut(&mut self) -> &mut Value {
        &mut self.list
    }

    /// ADD of all plug-ins in order, each with the previous result; stops at the first failure and returns that answer.
    /// Nothing is undone: the runtime does that with [`Chain::del`].
    #[track_caller]
    pub fn add(&mut self, at: &Attachment) -> Reply {
        let mut result = None;
        let mut last = None;
        for plugin in self.plugins() {
            let reply = self.call(Verb::Add, &plugin, at, result.as_ref());
            if reply.code != 0 {
                return reply;
            }
            result = Some(reply.value.clone());
            last = Some(reply);
        }
        let last = last.expect("a list has plug-ins");
        self.results.insert(at.key(), (at.clone(), last.value.clone()));
        last
    }

    /// DEL of all plug-ins in reverse order, with the result of ADD; stops at the first failure and returns that
    /// answer.
    #[track_caller]
    pub fn del(&mut self, at: &Attachment) -> Reply {
        self.del_with(at, PrevResult::Kept)
    }

    /// Like [`Chain::del`], with or without the result of ADD.
    #[track_caller]
    pub fn del_with(&mut self, at: &Attachment, prev_result: PrevResult) -> Reply {
        let kept = self.results.get(&at.key()).map(|(_, result)| result.clone());
        let result = kept.filter(|_| prev_result == PrevResult::Kept);
        let reply = in_turn(self.plugins().iter().rev(), |plugin| self.call(Verb::Del, plugin, at, result.as_ref()));
        if reply.code == 0 {
            self.results.remove(&at.key());
        }
        reply
    }

    /// CHECK of all plug-ins in order, with the result of ADD.
    #[track_caller]
    pub fn check(&self, at: &Attachment) -> Reply {
        let (_, result) = self.results.get(&at.key()).expect("an attachment that was added");
        in_turn(self.plugins().iter(), |plugin| self.call(Verb::Check, plugin, at, Some(result)))
    }

    /// GC as libcni does it: DEL of each remembered attachment that is not in `valid`, then GC.
    #[track_caller]
    pub fn gc(&mut self, valid: &[&Attachment]) -> Reply {
        let keys: Vec<_> = valid.iter().map(|at| at.key()).collect();
        let stale: Vec<Attachment> =
            self.results.values().filter(|(at, _)| !keys.contains(&at.key())).map(|(at, _)| at.clone()).collect();
        for at in stale {
            // GC continues after a failure here.
            self.del(&at);
        }
        self.gc_only(valid)
    }

    /// GC alone, with the valid attachments under the specification's key and under that of libcni 1.2.
    #[track_caller]
    pub fn gc_only(&self, valid: &[&Attachment]) -> Reply {
        let listed = Value::Array(valid.iter().map(|at| at.listed()).collect());
        let keys = ["cni.dev/valid-attachments", "cni.dev/attachments"];
        self.gc_saying(&keys.into_iter().map(|key| (key.to_owned(), listed.clone())).collect())
    }

    /// GC with only these keys in the configuration, as a careless runtime may send it.
    #[track_caller]
    pub fn gc_saying(&self, keys: &Map<String, Value>) -> Reply {
        self.for_network(Verb::Gc, keys)
    }

    /// STATUS of all plug-ins in order.
    #[track_caller]
    pub fn status(&self) -> Reply {
        self.for_network(Verb::Status, &Map::new())
    }

    /// VERSION of all plug-ins: whether each supports the version of the list.
    #[track_caller]
    pub fn version(&self) -> Reply {
        in_turn(self.plugins().iter(), |plugin| {
            let reply = self.caller.version(type_of(plugin)).ok();
            let supported = reply.value["supportedVersions"].as_array().expect("versions");
            let wanted = self.spoken();
            assert!(supported.contains(&wanted), "{}: {wanted} is not among {supported:?}", reply.plugin);
            reply
        })
    }

    fn for_network(&self, verb: Verb, keys: &Map<String, Value>) -> Reply {
        in_turn(self.plugins().iter(), |plugin| {
            let mut config = self.config(plugin, None);
            config.extend(keys.clone());
            self.caller.call_for_network(type_of(plugin), verb, &config.into())
        })
    }

    fn call(&self, verb: Verb, plugin: &Value, at: &Attachment, prev_result: Option<&Value>) -> Reply {
        let mut config = self.config(plugin, prev_result);
        // libcni (`injectRuntimeConfig`) leaves `capabilities` in, contrary to the specification.
        let runtime = at.wanted_by(&plugin["capabilities"]);
        if !runtime.is_empty() {
            config.insert("runtimeConfig".into(), runtime.into());
        }
        self.caller.call(type_of(plugin), verb, at, &config.into())
    }

    /// A plug-in's part of the list, with the keys that the list and the runtime add.
    fn config(&self, plugin: &Value, prev_result: Option<&Value>) -> Map<String, Value> {
        let mut config = plugin.as_object().expect("a plug-in is an object").clone();
        config.insert("name".into(), self.list["name"].clone());
        config.insert("cniVersion".into(), self.spoken());
        config.extend(prev_result.map(|result| ("prevResult".to_owned(), result.clone())));
        config
    }

    /// The newest of the list's versions that is known here, as libcni 1.2 chooses.
    fn spoken(&self) -> Value {
        let several = self.list["cniVersions"].as_array().into_iter().flatten();
        let all = several.chain([&self.list["cniVersion"]]).filter(|version| numbers(version) <= NEWEST.to_vec());
        all.max_by_key(|version| numbers(version)).expect("a version").clone()
    }

    fn plugins(&self) -> Vec<Value> {
        self.list["plugins"].as_array().expect("plugins").clone()
    }
}

/// Calls them in turn; returns the answer of the first that fails, or of the last.
#[track_caller]
fn in_turn<'a>(plugins: impl Iterator<Item = &'a Value>, mut call: impl FnMut(&'a Value) -> Reply) -> Reply {
    let mut last = None;
    for plugin in plugins {
        let reply = call(plugin);
        if reply.code != 0 {
            return reply;
        }
        last = Some(reply);
    }
    last.expect("a list has plug-ins")
}

fn type_of(plugin: &Value) -> &str {
    plugin["type"].as_str().expect("type")
}

fn numbers(version: &Value) -> Vec<u32> {
    version.as_str().unwrap_or_default().split('.').filter_map(|number| number.parse().ok()).collect()
}
