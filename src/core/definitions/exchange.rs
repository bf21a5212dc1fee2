//! Exchanges and how each kind finds its bindings.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::definition::{BindingSpec, ExchangeSpec};
use crossdock_common::names::QueueId;
use crossdock_common::value::lookup;
use crossdock_common::{Message, Name, Refusal, Sight, UnixMillis, Value};
use hashbrown::HashMap;

use super::binding::{Binding, HeadersMatch};
use super::bindings::Bindings;
use super::choice::Choice;
use super::traffic::ExchangeTraffic;
use super::trie::Trie;
use crate::selector::Selector;

/// The kind of exchanges where messages wait.
const DELAYED: &str = "x-delayed-message";

/// An exchange that exists.
pub(crate) struct Exchange {
    pub spec: ExchangeSpec,
    pub created_at: UnixMillis,
    /// The alternate exchange that a policy gives it.
    pub policy_alternate: Option<Name>,
    routes: Routes,
    bindings: Bindings,
    /// So many of them have a selector or a filter.
    selective: usize,
    /// Exchanges with a binding to this one: they are looked at when it is deleted.
    pub sources: BTreeMap<Name, usize>,
    /// Of a delayed-message exchange: where its messages wait.
    pub delays: Option<QueueId>,
    pub traffic: Arc<ExchangeTraffic>,
    had_binding: bool,
}

/// The structure in which an exchange of some kind finds bindings.
enum Routes {
    Direct(HashMap<Bytes, Vec<Arc<Binding>>, foldhash::fast::RandomState>),
    Fanout(Vec<Arc<Binding>>),
    Topic(Trie),
    Headers(Vec<Arc<Binding>>),
    Choice(Choice),
}

impl Exchange {
    /// An exchange without bindings. What it leaves to chance begins with `seed`.
    pub(crate) fn new(spec: ExchangeSpec, created_at: UnixMillis, seed: u64) -> Result<Self, Refusal> {
        let routes = Routes::of_kind(&spec, seed)?;
        let (bindings, sources) = (Bindings::default(), BTreeMap::new());
        Ok(Self {
            spec,
            created_at,
            policy_alternate: None,
            routes,
            bindings,
            selective: 0,
            sources,
            delays: None,
            traffic: Arc::default(),
            had_binding: false,
        })
    }

    /// Whether its routing keys are topics, for which there are permissions of their own.
    pub(crate) fn is_topic(&self) -> bool {
        matches!(self.routes, Routes::Topic(_))
    }

    /// Whether the same key always leads to the same bindings.
    pub(crate) fn routes_by_key_alone(&self) -> bool {
        match &self.routes {
            _ if self.is_delayed() || self.selective > 0 => false,
            Routes::Direct(_) | Routes::Fanout(_) | Routes::Topic(_) => true,
            Routes::Headers(_) => false,
            Routes::Choice(choice) => choice.is_by_key_alone(),
        }
    }

    /// Whether it is a delayed-message exchange.
    pub(crate) fn is_delayed(&self) -> bool {
        self.spec.kind.as_str() == DELAYED
    }

    /// Whether a message follows one binding at most, however many keys it has.
    pub(crate) fn routes_once(&self) -> bool {
        matches!(self.routes, Routes::Choice(_))
    }

    /// # Errors
    /// The exchange's kind has no use for such a binding.
    pub(crate) fn check_binding(&self, spec: &BindingSpec) -> Result<(), Refusal> {
        Selector::of(&spec.arguments)?;
        match &self.routes {
            Routes::Choice(choice) => choice.check(spec),
            Routes::Headers(_) => HeadersMatch::check(spec),
            _ => Ok(()),
        }
    }

    /// Adds a binding, or replaces the same one, which is given back.
    pub(crate) fn insert(&mut self, binding: Arc<Binding>) -> Option<Arc<Binding>> {
        let replaced = self.bindings.insert(binding.clone());
        self.selective += usize::from(binding.is_selective());
        if let Some(replaced) = &replaced {
            self.took_away(replaced);
        }
        self.routes.insert(binding);
        self.had_binding = true;
        replaced
    }

    pub(crate) fn binding_count(&self) -> usize {
        self.bindings.len()
    }

    pub(crate) fn find(&self, spec: &BindingSpec) -> Option<&Arc<Binding>> {
        self.bindings.find(spec)
    }

    pub(crate) fn remove(&mut self, spec: &BindingSpec) -> Option<Arc<Binding>> {
        let removed = self.bindings.remove(spec)?;
        self.took_away(&removed);
        Some(removed)
    }

    fn took_away(&mut self, binding: &Arc<Binding>) {
        self.selective -= usize::from(binding.is_selective());
        self.routes.remove(binding);
    }

    /// An auto-delete exchange whose last binding is gone.
    pub(crate) fn is_unused(&self) -> bool {
        self.spec.auto_delete && self.had_binding && self.bindings.len() == 0
    }

    pub(crate) fn has_bindings(&self) -> bool {
        self.bindings.len() > 0
    }

    /// All bindings in the order in which they were made.
    pub(crate) fn bindings(&self) -> Vec<Arc<Binding>> {
        let mut all: Vec<_> = self.bindings.values().cloned().collect();
        all.sort_unstable_by_key(|binding| binding.serial);
        all
    }

    /// Calls `found` for every binding that the message follows under one of its keys.
    pub(crate) fn matches(&self, key: &[u8], message: &Message, found: impl FnMut(&Arc<Binding>)) {
        if self.selective == 0 {
            return self.candidates(key, message, found);
        }
        let (mut found, mut sight) = (found, Sight::new(message));
        self.candidates(key, message, |binding| {
            if binding.selects(&mut sight) {
                found(binding);
            }
        });
    }

    fn candidates(&self, key: &[u8], message: &Message, mut found: impl FnMut(&Arc<Binding>)) {
        match &self.routes {
            Routes::Direct(keys) => keys.get(key).into_iter().flatten().for_each(found),
            Routes::Fanout(all) => all.iter().for_each(found),
            Routes::Topic(trie) => trie.matches(key, found),
            Routes::Headers(all) => {
                let headers = &message.hub().application_properties;
                all.iter().filter(|binding| binding.headers_match(headers)).for_each(&mut found);
            }
            Routes::Choice(choice) => choice.choose(key, message).into_iter().for_each(found),
        }
    }
}

/// The exchange that messages find when their delay is over.
fn behind_delay(spec: &ExchangeSpec) -> Result<ExchangeSpec, Refusal> {
    let kind = lookup(&spec.arguments, "x-delayed-type").and_then(Value::as_str);
    let Some(kind) = kind.filter(|kind| *kind != DELAYED) else {
        let text = "Invalid argument, 'x-delayed-type' must be an existing exchange type";
        return Err(Refusal::PreconditionFailed(text.to_owned()));
    };
    Ok(ExchangeSpec { kind: kind.into(), ..spec.clone() })
}

impl Routes {
    fn of_kind(spec: &ExchangeSpec, seed: u64) -> Result<Self, Refusal> {
        if spec.kind.as_str() == DELAYED {
            return Self::of_kind(&behind_delay(spec)?, seed);
        }
        if let Some(choice) = Choice::of_kind(spec, seed)? {
            return Ok(Self::Choice(choice));
        }
        Ok(match spec.kind.as_str() {
            "direct" => Self::Direct(HashMap::default()),
            "fanout" => Self::Fanout(Vec::new()),
            "topic" => Self::Topic(Trie::default()),
            "headers" => Self::Headers(Vec::new()),
            other => return Err(Refusal::PreconditionFailed(format!("unknown exchange type '{other}'"))),
        })
    }

    fn insert(&mut self, binding: Arc<Binding>) {
        match self {
            Self::Direct(keys) => keys.entry(binding.spec.key.clone()).or_default().push(binding),
            Self::Fanout(all) | Self::Headers(all) => all.push(binding),
            Self::Topic(trie) => trie.insert(binding),
            Self::Choice(choice) => choice.insert(binding),
        }
    }

    fn remove(&mut self, binding: &Arc<Binding>) {
        match self {
            Self::Direct(keys) => {
                if let Some(same_key) = keys.get_mut(&binding.spec.key) {
                    same_key.retain(|kept| !Arc::ptr_eq(kept, binding));
                    if same_key.is_empty() {
                        keys.remove(&binding.spec.key);
                    }
                }
            }
            Self::Fanout(all) | Self::Headers(all) => all.retain(|kept| !Arc::ptr_eq(kept, binding)),
            Self::Topic(trie) => trie.remove(binding),
            Self::Choice(choice) => choice.remove(binding),
        }
    }
}
