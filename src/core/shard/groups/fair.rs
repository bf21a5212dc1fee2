//! No noisy neighbours: a queue that is not FIFO, and whose messages say which tenant they are of (SQS MessageGroupId of a standard
//! queue), hands out those of quiet tenants first.
//!
//! A tenant is noisy while somebody has at least 30 messages of it, and these are more than a tenth of all that somebody has. Nine can be
//! noisy at a time at most. Their messages are set aside while others are behind them, also on disk, and handed out when there are no
//! others; within a tenant the order stays. A message without a tenant is its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use crossdock_common::Message;

use super::{Groups, Place};

/// Messages of noisy tenants that are set aside, to look for others behind them.
pub(super) const ASIDE_MAX: usize = 20_000;
/// So many messages of a tenant make no noise.
const QUIET_BELOW: usize = 30;
/// A noisy tenant has more than one of so many.
const SHARE: usize = 10;
/// Messages of noisy tenants that are read ahead.
const AHEAD_MAX: usize = 64;
/// Stands for all messages without a tenant.
const NOBODY: &str = "";

/// Who has how much.
#[derive(Default)]
pub(super) struct Fair {
    /// Tenants that may be noisy, by what somebody has of them.
    busy: BTreeSet<(usize, Arc<str>)>,
    noisy: Vec<Arc<str>>,
    /// There is nothing else to hand out.
    is_their_turn: bool,
}

impl Fair {
    pub(super) fn is_noisy(&self, name: &str) -> bool {
        self.noisy.iter().any(|noisy| **noisy == *name)
    }
}

/// Whether the publisher has said whose the message is.
pub(crate) fn has_tenant(message: &Message) -> bool {
    !tenant_of(message).is_empty()
}

pub(super) fn tenant_of(message: &Message) -> &str {
    message.rare.as_ref().and_then(|rare| rare.group.as_deref()).unwrap_or(NOBODY)
}

impl Groups {
    /// Groups are tenants.
    pub(crate) fn shared_fairly() -> Self {
        Self { fair: Some(Box::default()), ..Self::default() }
    }

    /// There is nothing to be fair about any more.
    pub(crate) fn are_shared_by_nobody(&self) -> bool {
        self.fair.is_some() && self.held.is_empty() && self.aside.is_empty()
    }

    /// The message is a noisy tenant's, or older ones of its tenant are set aside.
    pub(super) fn must_yield(&self, message: &Message) -> bool {
        let group = self.groups.get(tenant_of(message)).filter(|_| has_tenant(message));
        group.is_some_and(|group| group.is_noisy || !group.places.is_empty())
    }

    /// Others are looked for.
    pub(crate) fn let_noisy_wait(&mut self) {
        self.fair.iter_mut().for_each(|fair| fair.is_their_turn = false);
    }

    /// Nothing else can be handed out now, or no more can be set aside.
    pub(crate) fn let_noisy_go(&mut self, are_alone: bool) {
        let is_full = self.is_full();
        self.fair.iter_mut().for_each(|fair| fair.is_their_turn = are_alone || is_full);
    }

    /// The oldest message of a noisy tenant, if it is their turn.
    pub(super) fn first_noisy(&self) -> Option<Place> {
        let fair = self.fair.as_ref().filter(|fair| fair.is_their_turn)?;
        fair.noisy.iter().filter_map(|name| self.groups.get(name)?.places.front().copied()).min()
    }

    /// Places of noisy tenants that will be next, if it is their turn.
    pub(super) fn noisy_ahead(&self) -> Vec<Place> {
        let Some(fair) = self.fair.as_ref().filter(|fair| fair.is_their_turn) else { return Vec::new() };
        let groups = fair.noisy.iter().filter_map(|name| self.groups.get(name));
        let mut places: Vec<Place> = groups.flat_map(|group| group.places.iter().take(AHEAD_MAX)).copied().collect();
        places.sort_unstable();
        places.truncate(AHEAD_MAX);
        places
    }

    /// Somebody has one more message of the tenant.
    pub(super) fn has_more(&mut self, name: &Arc<str>) {
        let held = self.groups.get(name).map_or(0, |group| group.held);
        self.count(name, held.saturating_sub(1), held);
    }

    /// Somebody has one less.
    pub(super) fn has_less(&mut self, name: &Arc<str>) {
        let held = self.groups.get(name).map_or(0, |group| group.held);
        self.count(name, held + 1, held);
    }

    fn count(&mut self, name: &Arc<str>, before: usize, after: usize) {
        let Some(fair) = &mut self.fair else { return };
        if **name != *NOBODY {
            fair.busy.remove(&(before, name.clone()));
            if after >= QUIET_BELOW {
                fair.busy.insert((after, name.clone()));
            }
        }
        let all = self.held.len();
        let loudest = fair.busy.iter().rev().take_while(|(held, _)| held * SHARE > all);
        let noisy: Vec<Arc<str>> = loudest.map(|(_, name)| name.clone()).collect();
        if noisy == fair.noisy {
            return;
        }
        let before = std::mem::replace(&mut fair.noisy, noisy.clone());
        let changed = before.iter().filter(|name| !noisy.contains(name)).map(|name| (name, false));
        for (name, is_noisy) in
            changed.chain(noisy.iter().filter(|name| !before.contains(name)).map(|name| (name, true)))
        {
            self.change(name, |group| group.is_noisy = is_noisy);
        }
    }
}
