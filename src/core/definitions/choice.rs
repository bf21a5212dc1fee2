//! Exchanges that choose one of their bindings for each message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use crossdock_common::definition::{BindingSpec, Destination, ExchangeSpec};
use crossdock_common::random::scramble;
use crossdock_common::value::lookup;
use crossdock_common::value_text::to_text;
use crossdock_common::{Message, Refusal, Text, Value};

use super::binding::Binding;

/// The message properties that `hash-property` may name, as RabbitMQ.
const PROPERTIES: [&str; 3] = ["correlation_id", "message_id", "timestamp"];

/// The bindings of such an exchange, and how one of them is chosen.
pub(crate) struct Choice {
    by: ChooseBy,
    /// In the order of their places.
    all: Vec<Candidate>,
}

/// What the choice depends on.
enum ChooseBy {
    /// `x-consistent-hash`: the same value leads to the same binding while that is there, and the binding key says for how large a
    /// share of all values.
    ConsistentHash(HashOn),
    /// `x-modulus-hash`: the hash of the routing key, modulo the number of bindings.
    Modulus,
    /// `x-random` and `x-local-random`: nothing. The state of the generator.
    Chance(AtomicU64),
}

/// What a consistent hash is computed from.
enum HashOn {
    RoutingKey,
    Header(Text),
    Property(Text),
}

/// A binding that may be chosen.
struct Candidate {
    binding: Arc<Binding>,
    /// Derived from the destination alone, so that it is the same after a restart and on every broker.
    place: u64,
    weight: f64,
}

impl Choice {
    /// The choice that an exchange of that kind makes; `None` if it makes none. Chance begins with `seed`.
    ///
    /// # Errors
    /// [`Refusal::PreconditionFailed`] in RabbitMQ's words if the arguments do not fit.
    pub(crate) fn of_kind(spec: &ExchangeSpec, seed: u64) -> Result<Option<Self>, Refusal> {
        let by = match spec.kind.as_str() {
            "x-consistent-hash" => ChooseBy::ConsistentHash(HashOn::of(spec)?),
            "x-modulus-hash" => ChooseBy::Modulus,
            "x-random" | "x-local-random" => ChooseBy::Chance(AtomicU64::new(seed)),
            _ => return Ok(None),
        };
        Ok(Some(Self { by, all: Vec::new() }))
    }

    /// Whether the same key always leads to the same binding.
    pub(crate) fn is_by_key_alone(&self) -> bool {
        matches!(self.by, ChooseBy::ConsistentHash(HashOn::RoutingKey) | ChooseBy::Modulus)
    }

    /// # Errors
    /// The key of a consistent-hash exchange's binding is not a weight.
    pub(crate) fn check(&self, spec: &BindingSpec) -> Result<(), Refusal> {
        match self.by {
            ChooseBy::ConsistentHash(_) => weight_of(&spec.key).map(drop),
            ChooseBy::Modulus | ChooseBy::Chance(_) => Ok(()),
        }
    }

    pub(crate) fn insert(&mut self, binding: Arc<Binding>) {
        let weight = match self.by {
            // It was checked when the binding was made.
            ChooseBy::ConsistentHash(_) => weight_of(&binding.spec.key).unwrap_or(1.0),
            ChooseBy::Modulus | ChooseBy::Chance(_) => 1.0,
        };
        let place = place_of(&binding.spec.destination);
        let at = self.all.partition_point(|other| (other.place, other.binding.serial) <= (place, binding.serial));
        self.all.insert(at, Candidate { binding, place, weight });
    }

    pub(crate) fn remove(&mut self, binding: &Arc<Binding>) {
        self.all.retain(|kept| !Arc::ptr_eq(&kept.binding, binding));
    }

    /// The binding that this message follows.
    pub(crate) fn choose(&self, key: &[u8], message: &Message) -> Option<&Arc<Binding>> {
        let chosen = match &self.by {
            ChooseBy::ConsistentHash(on) => self.heaviest(on.hash(key, message)),
            ChooseBy::Modulus => self.all.get(below(hash(key), self.all.len())),
            ChooseBy::Chance(state) => {
                let step = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
                self.all.get(below(scramble(step), self.all.len()))
            }
        };
        chosen.map(|candidate| &candidate.binding)
    }

    /// Weighted rendezvous hashing: a binding that comes takes its share from all others, one that goes leaves its share to them,
    /// and nothing else moves.
    fn heaviest(&self, value: u64) -> Option<&Candidate> {
        let score = |candidate: &Candidate| {
            let bits = scramble(value ^ candidate.place) >> 11;
            // Above 0 and below 1: the logarithm is finite and negative.
            let uniform = (bits as f64 + 0.5) / (1u64 << 53) as f64;
            -candidate.weight / uniform.ln()
        };
        self.all.iter().max_by(|a, b| score(a).total_cmp(&score(b)))
    }
}

impl HashOn {
    fn of(spec: &ExchangeSpec) -> Result<Self, Refusal> {
        let refuse = |text: String| Err(Refusal::PreconditionFailed(text));
        let named = |argument| lookup(&spec.arguments, argument).map(to_text);
        match (named("hash-header"), named("hash-property")) {
            (None, None) => Ok(Self::RoutingKey),
            (Some(header), None) => Ok(Self::Header(header)),
            (None, Some(property)) if PROPERTIES.contains(&&*property) => Ok(Self::Property(property)),
            (None, Some(property)) => refuse(format!("Unsupported property: {property}")),
            (Some(_), Some(_)) => refuse("hash-header and hash-property are mutually exclusive".to_owned()),
        }
    }

    /// Messages that do not have what is asked for are all the same.
    fn hash(&self, key: &[u8], message: &Message) -> u64 {
        let of = |value: Option<&Value>| value.map_or(0, |value| hash(to_text(value).as_bytes()));
        match self {
            Self::RoutingKey => hash(key),
            Self::Header(name) => of(lookup(&message.hub().application_properties, name)),
            Self::Property(name) => {
                let hub = message.hub();
                match &**name {
                    "correlation_id" => of(hub.correlation_id.as_ref()),
                    "message_id" => of(hub.message_id.as_ref()),
                    _ => hub.creation_time_ms.map_or(0, |ms| hash(&ms.to_le_bytes())),
                }
            }
        }
    }
}

/// The weight that a binding key says.
fn weight_of(key: &Bytes) -> Result<f64, Refusal> {
    let number = std::str::from_utf8(key).ok().and_then(|text| text.parse::<i64>().ok());
    match number {
        Some(weight @ 1..) => Ok(weight as f64),
        Some(_) => Err(Refusal::PreconditionFailed("The binding key must be greater than 0".to_owned())),
        None => {
            let quoted = if key.is_empty() { String::new() } else { format!("\"{}\"", key.escape_ascii()) };
            Err(Refusal::PreconditionFailed(format!("The binding key must be an integer: <<{quoted}>>")))
        }
    }
}

fn place_of(destination: &Destination) -> u64 {
    match destination {
        Destination::Queue(name) => hash(name.as_bytes()),
        // A queue and an exchange of the same name have different places.
        Destination::Exchange(name) => scramble(hash(name.as_bytes())),
    }
}

/// The same on every machine and in every version: what it decides is seen by applications.
fn hash(bytes: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    scramble(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

fn below(hash: u64, count: usize) -> usize {
    usize::try_from(hash % (count.max(1) as u64)).unwrap_or(0)
}
