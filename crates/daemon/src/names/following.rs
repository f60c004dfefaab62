//! The directory, as the records have it.

use super::part::PART;
use crate::changes::{of_folder, watching};
use crate::error::Error;
use inotify::{EventMask, Inotify, WatchDescriptor};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::ErrorKind;
use std::time::{Duration, Instant};
use zubi_engine::{Engine, Recorded};
use zubi_model::{Endpoint, EndpointKey, NetnsCookie, Network, NetworkName};
use zubi_names::{Directory, Member, Zone};

/// Room for the events of one read: inotify(7) wants that of one name at least.
const BUFFER: usize = 16 * 1024;
/// How soon what could not be read is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// A directory that follows the records.
pub(crate) struct Following {
    engine: Engine,
    inotify: Inotify,
    /// The folders of sandboxes whose endpoints change while they are attached: those with a lease, and those of Docker's,
    /// which get their names later.
    changing: HashMap<WatchDescriptor, NetnsCookie>,
    watched: HashSet<NetnsCookie>,
    buffer: Box<[u8]>,
    /// A descriptor to give up when there are no others: a record has to be read whatever clients do.
    spare: Option<File>,
    /// What could not be read, and when it is tried again.
    missed: Vec<Subject>,
    again_at: Instant,
    pub(crate) directory: Directory,
}

/// What a file of the records is about.
#[derive(Clone)]
enum Subject {
    Endpoint(EndpointKey),
    Network(NetworkName),
    Everything,
}

/// Whether networks are others than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Networks {
    Same,
    Changed,
}

impl Following {
    pub(crate) fn new(engine: Engine) -> Result<Self, Error> {
        let inotify = watching(&engine.watchable_folders()?)?;
        let mut following = Following {
            engine,
            inotify,
            changing: HashMap::new(),
            watched: HashSet::new(),
            buffer: vec![0; BUFFER].into(),
            spare: spare(),
            missed: Vec::new(),
            again_at: Instant::now(),
            directory: Directory::new(),
        };
        let names = &following.engine.config().names;
        following.directory.set_records(names.records.clone(), names.servers.as_slice());
        following.read_all();
        Ok(following)
    }

    /// Reads the records that were changed by now.
    pub(crate) fn catch_up(&mut self) -> Networks {
        let mut networks = Networks::Same;
        if !self.missed.is_empty() && self.again_at <= Instant::now() {
            for subject in std::mem::take(&mut self.missed) {
                self.read_subject(subject);
                networks = Networks::Changed;
            }
        }
        loop {
            let subjects: Vec<Subject> = match self.inotify.read_events(&mut self.buffer) {
                Ok(events) => events
                    .filter_map(|event| {
                        if event.mask.contains(EventMask::Q_OVERFLOW) {
                            return Some(Subject::Everything);
                        }
                        if event.mask.contains(EventMask::IGNORED) {
                            // The folder is gone. When it is made again, it is watched again.
                            if let Some(cookie) = self.changing.remove(&event.wd) {
                                self.watched.remove(&cookie);
                            }
                        }
                        let stem = event.name?.to_str()?.strip_suffix(".json")?;
                        if let Some(cookie) = self.changing.get(&event.wd) {
                            let network = stem.parse().ok()?;
                            return Some(Subject::Endpoint(EndpointKey { cookie: *cookie, network }));
                        }
                        match stem.parse() {
                            Ok(key) => Some(Subject::Endpoint(key)),
                            Err(_) => stem.parse().ok().map(Subject::Network),
                        }
                    })
                    .collect(),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return networks,
                Err(e) => {
                    tracing::warn!(part = PART, "read what changed in the records: {e}");
                    return networks;
                }
            };
            if subjects.is_empty() {
                return networks;
            }
            for subject in subjects {
                if !matches!(subject, Subject::Endpoint(_)) {
                    networks = Networks::Changed;
                }
                self.read_subject(subject);
            }
        }
    }

    fn read_subject(&mut self, subject: Subject) {
        let read = match &subject {
            Subject::Endpoint(key) => self.read_endpoint(key),
            Subject::Network(name) => self.read_network(name),
            Subject::Everything => {
                self.read_all();
                Ok(())
            }
        };
        if let Err(e) = read {
            tracing::warn!(part = PART, "{e}");
            self.missed.push(subject);
            self.again_at = Instant::now() + AGAIN;
        }
    }

    /// Reads, with the spare descriptor if there is no other.
    fn read<T>(
        &mut self,
        read: impl Fn(Recorded<'_>) -> Result<T, zubi_engine::Error>,
    ) -> Result<T, zubi_engine::Error> {
        self.spare = self.spare.take().or_else(spare);
        match read(self.engine.recorded()) {
            Err(_) if self.spare.take().is_some() => {
                let again = read(self.engine.recorded());
                self.spare = spare();
                again
            }
            other => other,
        }
    }

    /// Reads everything again.
    fn read_all(&mut self) {
        let (networks, unreadable) = self.engine.recorded().networks();
        let (endpoints, more) = self.engine.recorded().endpoints();
        for error in unreadable.iter().chain(&more) {
            tracing::warn!(part = PART, "{error}");
        }
        let names: HashSet<&NetworkName> = networks.iter().map(|network| &network.name).collect();
        let gone: Vec<NetworkName> = self.directory.zones().map(|zone| zone.name.clone()).collect();
        for name in gone.iter().filter(|name| !names.contains(name)) {
            self.directory.remove_network(name);
        }
        for network in &networks {
            self.put_network(network);
        }
        let keys: HashSet<EndpointKey> = endpoints.iter().map(Endpoint::key).collect();
        let gone: Vec<EndpointKey> = self.directory.endpoints().filter(|key| !keys.contains(key)).cloned().collect();
        for key in &gone {
            self.directory.remove_endpoint(key);
        }
        for endpoint in &endpoints {
            self.put(endpoint);
        }
    }

    fn read_network(&mut self, name: &NetworkName) -> Result<(), zubi_engine::Error> {
        match self.read(|recorded| recorded.network(name))? {
            Some(network) => self.put_network(&network),
            None => self.directory.remove_network(name),
        }
        Ok(())
    }

    fn put_network(&mut self, network: &Network) {
        match Zone::of(network) {
            Some(zone) => self.directory.put_network(zone),
            None => self.directory.remove_network(&network.name),
        }
    }

    fn read_endpoint(&mut self, key: &EndpointKey) -> Result<(), zubi_engine::Error> {
        match self.read(|recorded| recorded.endpoint(key))? {
            Some(endpoint) => self.put(&endpoint),
            None => self.directory.remove_endpoint(key),
        }
        Ok(())
    }

    fn put(&mut self, endpoint: &Endpoint) {
        self.directory.put_endpoint(Member::of(endpoint, &[]));
        let cookie = endpoint.sandbox.cookie;
        let changes = endpoint.dhcp.is_some() || endpoint.handed_over.is_some();
        if changes && self.watched.insert(cookie) {
            let folder = self.engine.recorded().folder_of(&endpoint.key());
            match self.inotify.watches().add(folder, of_folder()) {
                Ok(watch) => {
                    self.changing.insert(watch, cookie);
                    // It may have changed before the watch was there.
                    self.read_subject(Subject::Endpoint(endpoint.key()));
                }
                Err(_) => drop(self.watched.remove(&cookie)),
            }
        }
    }
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}
