//! The connections of a server: a bounded number, of which the one that was idle longest makes room for a new one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::task::AbortHandle;

/// The connections that are open.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    all: Arc<Mutex<All>>,
    most: usize,
}

#[derive(Debug, Default)]
struct All {
    open: HashMap<u64, Client>,
    next: u64,
}

#[derive(Debug)]
struct Client {
    /// Since when it does what it does.
    since: Instant,
    requests: usize,
    end: Option<AbortHandle>,
}

impl Clients {
    pub(crate) fn new(most: usize) -> Self {
        Clients { all: Arc::default(), most }
    }

    /// A place for a new connection; `None` when all places serve requests.
    pub(crate) fn enter(&self) -> Option<Place> {
        let mut all = self.all();
        if all.open.len() >= self.most {
            let idle = all.open.iter().filter(|(_, client)| client.requests == 0);
            let oldest = idle.min_by_key(|(_, client)| client.since).map(|(number, _)| *number)?;
            if let Some(end) = all.open.remove(&oldest).and_then(|client| client.end) {
                end.abort();
            }
        }
        all.next += 1;
        let number = all.next;
        all.open.insert(number, Client { since: Instant::now(), requests: 0, end: None });
        Some(Place { clients: self.clone(), number })
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, number: u64, change: impl FnOnce(&mut usize)) {
        if let Some(client) = self.all().open.get_mut(&number) {
            change(&mut client.requests);
            client.since = Instant::now();
        }
    }
}

/// The place of an open connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    clients: Clients,
    number: u64,
}

impl Place {
    /// How the connection is ended when it has to make room.
    pub(crate) fn ends_by(&self, end: AbortHandle) {
        if let Some(client) = self.clients.all().open.get_mut(&self.number) {
            client.end = Some(end);
        }
    }

    /// A request is served until the value is dropped.
    pub(crate) fn serve(&self) -> Serving {
        self.clients.count(self.number, |requests| *requests += 1);
        Serving { clients: self.clients.clone(), number: self.number }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clients.all().open.remove(&self.number);
    }
}

/// A request that is being served.
#[derive(Debug)]
pub(crate) struct Serving {
    clients: Clients,
    number: u64,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.clients.count(self.number, |requests| *requests = requests.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_that_was_idle_longest_makes_room() {
        let clients = Clients::new(2);
        let first = clients.enter().unwrap();
        let second = clients.enter().unwrap();
        let serving = first.serve();
        let third = clients.enter().unwrap();
        let numbers = |clients: &Clients| {
            let mut all: Vec<u64> = clients.all().open.keys().copied().collect();
            all.sort_unstable();
            all
        };
        assert_eq!(numbers(&clients), [first.number, third.number]);
        let other = third.serve();
        assert!(clients.enter().is_none(), "both serve a request");
        drop(serving);
        let fourth = clients.enter().unwrap();
        assert_eq!(numbers(&clients), [third.number, fourth.number]);
        drop((first, second, third, fourth, other));
        assert!(numbers(&clients).is_empty());
    }
}
