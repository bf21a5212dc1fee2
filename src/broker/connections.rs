//! Who is connected, for operators: every driver keeps an entry here from login to its end.
//!
//! An entry costs nothing for each message: its driver adds to plain counters once for each read and write. What only the machine knows
//! (channels, consumers, client properties) is asked for when somebody wants to see it, through the driver's own wake-up.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossdock_common::names::ConnectionId;
use crossdock_common::{Description, Name, UnixMillis};
use tokio::sync::oneshot;

use super::bell::Bell;
use crate::telemetry::Protocol;

/// How long a connection that is asked may take: it may be waiting for a login, or for the disk.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);

/// All connections that have logged in.
#[derive(Default)]
pub struct Connections {
    all: Mutex<HashMap<ConnectionId, Arc<Connection>>>,
    opened: AtomicU64,
    closed: AtomicU64,
}

/// A connection: about 200 bytes.
pub struct Connection {
    pub id: ConnectionId,
    pub protocol: Protocol,
    pub peer: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
    pub tls: bool,
    pub user: Name,
    pub vhost: Name,
    pub connected_at: UnixMillis,
    pub octets: Octets,
    asked: AtomicBool,
    /// Who wants to know about it. Boxed: nobody does, most of the time.
    askers: Mutex<Option<Box<Askers>>>,
    wake: Arc<Bell>,
}

/// What went over a connection. Only its driver writes.
#[derive(Default)]
pub struct Octets {
    pub received: AtomicU64,
    pub reads: AtomicU64,
    pub sent: AtomicU64,
    pub writes: AtomicU64,
}

#[derive(Default)]
struct Askers(Vec<Asker>);

/// Where somebody waits for a connection's description.
pub type Asker = oneshot::Sender<Description>;

impl Octets {
    /// One read of so many bytes.
    pub fn read(&self, bytes: usize) {
        add(&self.received, bytes as u64);
        add(&self.reads, 1);
    }

    /// One write of so many bytes.
    pub fn wrote(&self, bytes: usize) {
        add(&self.sent, bytes as u64);
        add(&self.writes, 1);
    }
}

/// There is one writer, so this needs no locked instruction.
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

/// What a driver says about itself when it has logged in.
pub struct Newcomer {
    pub id: ConnectionId,
    pub protocol: Protocol,
    pub peer: SocketAddr,
    pub local: SocketAddr,
    pub tls: bool,
    pub user: Name,
    pub vhost: Name,
    pub connected_at: UnixMillis,
    /// Wakes the driver.
    pub wake: Arc<Bell>,
}

impl Connections {
    /// A connection has logged in. Its driver [removes](Self::remove) it.
    pub fn add(&self, new: Newcomer) -> Arc<Connection> {
        let Newcomer { id, protocol, peer, local, tls, user, vhost, connected_at, wake } = new;
        let (octets, asked, askers) = (Octets::default(), AtomicBool::new(false), Mutex::default());
        let connection =
            Connection { id, protocol, peer, local, tls, user, vhost, connected_at, octets, asked, askers, wake };
        let connection = Arc::new(connection);
        self.lock().insert(id, connection.clone());
        self.opened.fetch_add(1, Ordering::Relaxed);
        connection
    }

    /// A connection is over.
    pub fn remove(&self, id: ConnectionId) {
        if self.lock().remove(&id).is_some() {
            self.closed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The connection of that number.
    pub fn find(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.lock().get(&id).cloned()
    }

    /// All of them, in the order in which they came.
    pub fn all(&self) -> Vec<Arc<Connection>> {
        let mut all: Vec<_> = self.lock().values().cloned().collect();
        all.sort_unstable_by_key(|connection| connection.id);
        all
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// How many have come and gone.
    pub fn churn(&self) -> (u64, u64) {
        (self.opened.load(Ordering::Relaxed), self.closed.load(Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Arc<Connection>>> {
        // The map is valid after every step.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// RabbitMQ's name for it: `127.0.0.1:50000 -> 127.0.0.1:5672`.
    pub fn name(&self) -> String {
        format!("{} -> {}", self.peer, self.local)
    }

    /// Asks the machine about it; `None` if it ends meanwhile, or is too busy to answer.
    pub async fn describe(&self) -> Option<Description> {
        let (answer, answered) = oneshot::channel();
        self.lock().get_or_insert_default().0.push(answer);
        self.asked.store(true, Ordering::Release);
        self.wake.ring();
        tokio::time::timeout(ANSWER_TIME_MAX, answered).await.ok()?.ok()
    }

    /// Who wants to know about it; given once.
    pub fn take_askers(&self) -> Vec<Asker> {
        if self.asked.swap(false, Ordering::AcqRel) {
            self.lock().take().map_or_else(Vec::new, |askers| askers.0)
        } else {
            Vec::new()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<Askers>>> {
        self.askers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newcomer(id: u64) -> Newcomer {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Newcomer {
            id: ConnectionId(id),
            protocol: Protocol::Mqtt,
            peer: address(50_000),
            local: address(1883),
            tls: false,
            user: "u".into(),
            vhost: "/".into(),
            connected_at: UnixMillis(1),
            wake: Arc::default(),
        }
    }

    #[test]
    fn connections_come_and_go_and_are_small() {
        assert!(size_of::<Connection>() <= 200, "{}", size_of::<Connection>());
        let connections = Connections::default();
        let (one, _) = (connections.add(newcomer(2)), connections.add(newcomer(1)));
        assert_eq!(one.name(), "127.0.0.1:50000 -> 127.0.0.1:1883");
        assert_eq!(connections.all().iter().map(|one| one.id.0).collect::<Vec<_>>(), [1, 2]);
        connections.remove(ConnectionId(1));
        connections.remove(ConnectionId(1));
        assert_eq!((connections.count(), connections.churn()), (1, (2, 1)));
        assert!(connections.find(ConnectionId(1)).is_none() && connections.find(ConnectionId(2)).is_some());
    }

    #[tokio::test]
    async fn a_driver_is_woken_and_answers_once() {
        let connections = Connections::default();
        let connection = connections.add(newcomer(1));
        assert!(connection.take_askers().is_empty());
        let asked = connection.clone();
        let answer = tokio::spawn(async move { asked.describe().await });
        connection.wake.heard().await;
        for asker in connection.take_askers() {
            let _ = asker.send(Description { heartbeat_s: 7, ..Description::default() });
        }
        assert_eq!(answer.await.unwrap().unwrap().heartbeat_s, 7);
        assert!(connection.take_askers().is_empty());
    }
}
