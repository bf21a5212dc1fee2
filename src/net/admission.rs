//! Who may connect: so many at the same time, and so many in a second, at each listener and from each address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::config::{ListenerKind, Settings};

/// Addresses that are remembered. While more than these connect within one second, those beyond are bounded by the listener's rate only.
const ADDRESSES_MAX: usize = 65_536;
/// The part of an IPv6 address that one peer has to itself is at least this long.
const V6_PREFIX: u128 = !0 << 64;

/// Why somebody is hung up on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoEntry {
    /// `limits.connections_max` is reached.
    Full,
    /// `limits.connects_per_second_max` is reached.
    ListenerRate,
    /// `limits.connects_per_second_per_address_max` is reached.
    AddressRate,
}

impl NoEntry {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Full, Self::ListenerRate, Self::AddressRate];

    /// For the metric: a fixed word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "connections_max",
            Self::ListenerRate => "connects_per_second_max",
            Self::AddressRate => "connects_per_second_per_address_max",
        }
    }
}

/// What bounds connections.
pub(super) struct Admission {
    connections: AtomicUsize,
    connections_max: usize,
    listeners: HashMap<ListenerKind, Mutex<Bucket>>,
    addresses: Mutex<Addresses>,
}

impl Admission {
    pub(super) fn new(settings: &Settings) -> Arc<Self> {
        let (limits, now) = (&settings.limits, Instant::now());
        let bucket = |kind| Some((kind, Mutex::new(Bucket::new(limits.connects_per_second_max, now)?)));
        Arc::new(Self {
            connections: AtomicUsize::new(0),
            connections_max: limits.connections_max as usize,
            listeners: ListenerKind::ALL.into_iter().filter_map(bucket).collect(),
            addresses: Mutex::new(Addresses::new(limits.connects_per_second_per_address_max, now)),
        })
    }

    /// A place among all connections, until it is dropped. This is asked before anything is read.
    pub(super) fn enter(self: &Arc<Self>, kind: ListenerKind) -> Result<Place, NoEntry> {
        if let Some(bucket) = self.listeners.get(&kind)
            && !bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now())
        {
            return Err(NoEntry::ListenerRate);
        }
        let room = |taken: usize| (taken < self.connections_max).then_some(taken + 1);
        self.connections.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).map_err(|_| NoEntry::Full)?;
        Ok(Place(self.clone()))
    }

    /// Whether somebody may come from that address. This is asked when the address is known.
    pub(super) fn admit(&self, address: IpAddr) -> Result<(), NoEntry> {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if addresses.take(address, Instant::now()) { Ok(()) } else { Err(NoEntry::AddressRate) }
    }
}

/// One connection's place among `limits.connections_max`.
pub(super) struct Place(Arc<Admission>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

/// So many connections in a second, and as many at once after a second of silence.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    per_second: f64,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    /// A full one; `None` for a rate of 0, which is no bound.
    fn new(per_second: u32, now: Instant) -> Option<Self> {
        let per_second = f64::from(per_second);
        (per_second > 0.0).then_some(Self { per_second, tokens: per_second, filled_at: now })
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.per_second);
        self.filled_at = now;
    }

    fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let is_free = self.tokens >= 1.0;
        self.tokens -= if is_free { 1.0 } else { 0.0 };
        is_free
    }
}

/// A bucket for each address that has connected lately.
struct Addresses {
    /// A full one, if there is a bound.
    full: Option<Bucket>,
    buckets: HashMap<IpAddr, Bucket>,
    tidied_at: Instant,
}

impl Addresses {
    fn new(per_second: u32, now: Instant) -> Self {
        Self { full: Bucket::new(per_second, now), buckets: HashMap::new(), tidied_at: now }
    }

    fn take(&mut self, address: IpAddr, now: Instant) -> bool {
        let Some(full) = self.full else { return true };
        self.tidy(now);
        let address = one_peer(address);
        if self.buckets.len() >= ADDRESSES_MAX && !self.buckets.contains_key(&address) {
            return true;
        }
        self.buckets.entry(address).or_insert(Bucket { filled_at: now, ..full }).take(now)
    }

    /// Forgets buckets that are full again, once a second: an address that comes back finds a full one.
    fn tidy(&mut self, now: Instant) {
        if now.saturating_duration_since(self.tidied_at).as_secs() < 1 {
            return;
        }
        self.tidied_at = now;
        self.buckets.retain(|_, bucket| {
            bucket.fill(now);
            bucket.tokens < bucket.per_second
        });
    }
}

/// Somebody with IPv6 has so many addresses that each would be a new one.
fn one_peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & V6_PREFIX)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn taken(times: usize, mut take: impl FnMut() -> bool) -> usize {
        (0..times).filter(|_| take()).count()
    }

    #[test]
    fn a_bucket_gives_so_many_in_a_second() {
        let start = Instant::now();
        assert!(Bucket::new(0, start).is_none());
        let mut bucket = Bucket::new(10, start).unwrap();
        assert_eq!(taken(20, || bucket.take(start)), 10);
        assert_eq!(taken(20, || bucket.take(start + Duration::from_millis(500))), 5);
        assert_eq!(taken(20, || bucket.take(start + Duration::from_secs(60))), 10);
    }

    #[test]
    fn every_address_has_its_own_bucket_and_is_forgotten() {
        let start = Instant::now();
        let mut addresses = Addresses::new(2, start);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for (peer, other_name) in [("192.0.2.1", "::ffff:192.0.2.1"), ("2001:db8::1", "2001:db8::2")] {
            assert_eq!(taken(3, || addresses.take(address(peer), start)), 2);
            assert!(!addresses.take(address(other_name), start), "{other_name}");
        }
        assert!(addresses.take(address("2001:db8:0:1::1"), start));
        assert_eq!(addresses.buckets.len(), 3);
        addresses.take(address("192.0.2.9"), start + Duration::from_secs(2));
        assert_eq!(addresses.buckets.len(), 1);
    }

    #[test]
    fn memory_for_addresses_is_bounded() {
        let start = Instant::now();
        let mut addresses = Addresses::new(1, start);
        let address = |n: usize| IpAddr::V4(u32::try_from(n).unwrap().into());
        (0..ADDRESSES_MAX).for_each(|n| assert!(addresses.take(address(n), start)));
        assert!(addresses.take(address(ADDRESSES_MAX), start) && !addresses.take(address(7), start));
        assert_eq!(addresses.buckets.len(), ADDRESSES_MAX);
    }
}
