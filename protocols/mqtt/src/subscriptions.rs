//! A session's own subscriptions: which of them a message is for.
//!
//! The core says only that a message is for the session. With which QoS and which identifiers it goes to the client is
//! found out here: once for each message, however many subscriptions overlap ([MQTT-3.3.4-2], [MQTT-3.3.4-3]).

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::packet::Qos;
use crate::packet::subscribe::SubscribeOptions;
use crate::topic::Filter;

/// What was asked for with one filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub options: SubscribeOptions,
    pub id: Option<u32>,
}

/// What all matching subscriptions together ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Matched {
    pub qos: Qos,
    pub retain_as_published: bool,
    pub ids: SmallVec<[u32; 2]>,
}

/// All subscriptions that are not shared.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    /// Filters without wildcards, in their order: most clients have few.
    exact: Vec<(Box<str>, Subscription)>,
    /// Filters with wildcards, by level.
    wild: Option<Box<Node>>,
    wild_count: usize,
    no_local_count: usize,
}

#[derive(Debug, Default)]
struct Node {
    levels: HashMap<Box<str>, Node, foldhash::fast::RandomState>,
    /// `+`
    any: Option<Box<Node>>,
    /// A filter ends here.
    here: Option<Subscription>,
    /// A filter ends here with `#`.
    below: Option<Subscription>,
}

impl Subscriptions {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.exact.len() + self.wild_count
    }

    /// Whether a message must say from which session it comes.
    pub fn has_no_local(&self) -> bool {
        self.no_local_count > 0
    }

    /// Adds a subscription, or replaces it and gives the old one ([MQTT-3.8.4-3]).
    pub fn insert(&mut self, filter: &Filter<'_>, subscription: Subscription) -> Option<Subscription> {
        let old = if filter.has_wildcards() {
            let old = self.wild.get_or_insert_default().slot(filter.pattern).replace(subscription);
            self.wild_count += usize::from(old.is_none());
            old
        } else {
            self.insert_exact(filter.pattern, subscription)
        };
        self.no_local_count += usize::from(subscription.options.no_local);
        self.count_out(old)
    }

    /// Removes a subscription, if it is there.
    pub fn remove(&mut self, filter: &Filter<'_>) -> Option<Subscription> {
        let old = if filter.has_wildcards() {
            let mut levels = filter.pattern.split('/');
            let old = self.wild.as_mut().and_then(|wild| wild.remove(&mut levels));
            self.wild_count -= usize::from(old.is_some());
            self.wild = self.wild.take().filter(|_| self.wild_count > 0);
            old
        } else {
            self.place(filter.pattern).ok().map(|at| self.exact.remove(at).1)
        };
        self.count_out(old)
    }

    /// Where a filter without wildcards is, or would be.
    fn place(&self, pattern: &str) -> Result<usize, usize> {
        self.exact.binary_search_by(|(known, _)| (**known).cmp(pattern))
    }

    fn find_exact(&self, pattern: &str) -> Option<&Subscription> {
        self.exact.get(self.place(pattern).ok()?).map(|(_, subscription)| subscription)
    }

    fn insert_exact(&mut self, pattern: &str, subscription: Subscription) -> Option<Subscription> {
        match self.place(pattern) {
            Ok(at) => self.exact.get_mut(at).map(|(_, known)| std::mem::replace(known, subscription)),
            Err(at) => {
                if self.exact.is_empty() {
                    self.exact.reserve_exact(1);
                }
                self.exact.insert(at, (pattern.into(), subscription));
                None
            }
        }
    }

    /// The subscription with this very filter.
    pub fn find(&self, filter: &Filter<'_>) -> Option<&Subscription> {
        if !filter.has_wildcards() {
            return self.find_exact(filter.pattern);
        }
        let mut node = self.wild.as_deref()?;
        for level in filter.pattern.split('/') {
            match level {
                "#" => return node.below.as_ref(),
                "+" => node = node.any.as_ref()?,
                level => node = node.levels.get(level)?,
            }
        }
        node.here.as_ref()
    }

    fn count_out(&mut self, old: Option<Subscription>) -> Option<Subscription> {
        self.no_local_count -= usize::from(old.is_some_and(|old| old.options.no_local));
        old
    }

    /// What the subscriptions that match ask for; `None` if none does. `is_own` says that this session has published the
    /// message, which no-local subscriptions do not want ([MQTT-3.8.3-3]).
    pub fn matched(&self, topic: &str, is_own: bool) -> Option<Matched> {
        let mut found = None;
        if let Some(subscription) = self.find_exact(topic) {
            add(&mut found, subscription, is_own);
        }
        if let Some(wild) = &self.wild {
            let from_wildcard = !topic.starts_with('$');
            wild.collect(Some(topic), from_wildcard, &mut |subscription| add(&mut found, subscription, is_own));
        }
        found
    }
}

fn add(found: &mut Option<Matched>, subscription: &Subscription, is_own: bool) {
    if is_own && subscription.options.no_local {
        return;
    }
    let matched = found.get_or_insert_default();
    matched.qos = matched.qos.max(subscription.options.qos);
    matched.retain_as_published |= subscription.options.retain_as_published;
    matched.ids.extend(subscription.id);
}

impl Node {
    /// Where the filter's subscription is kept.
    fn slot(&mut self, pattern: &str) -> &mut Option<Subscription> {
        let mut node = self;
        for level in pattern.split('/') {
            match level {
                "#" => return &mut node.below,
                "+" => node = node.any.get_or_insert_default(),
                level => node = node.levels.entry(level.into()).or_default(),
            }
        }
        &mut node.here
    }

    /// Removes a filter and the nodes that it leaves empty. Recursion is as deep as a filter has levels, which is limited.
    fn remove<'a>(&mut self, levels: &mut impl Iterator<Item = &'a str>) -> Option<Subscription> {
        match levels.next() {
            None => self.here.take(),
            Some("#") => self.below.take(),
            Some("+") => {
                let removed = self.any.as_mut()?.remove(levels);
                self.any = self.any.take().filter(|node| !node.is_empty());
                removed
            }
            Some(level) => {
                let child = self.levels.get_mut(level)?;
                let removed = child.remove(levels);
                if child.is_empty() {
                    self.levels.remove(level);
                }
                removed
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.levels.is_empty() && self.any.is_none() && self.here.is_none() && self.below.is_none()
    }

    /// Calls `found` for every subscription that matches what is left of the topic. Visits no node twice.
    fn collect(&self, topic: Option<&str>, wildcards: bool, found: &mut impl FnMut(&Subscription)) {
        if wildcards {
            self.below.iter().for_each(&mut *found);
        }
        let Some(topic) = topic else { return self.here.iter().for_each(found) };
        let (level, rest) = match topic.split_once('/') {
            Some((level, rest)) => (level, Some(rest)),
            None => (topic, None),
        };
        if let Some(child) = self.levels.get(level) {
            child.collect(rest, true, found);
        }
        if let Some(child) = self.any.as_ref().filter(|_| wildcards) {
            child.collect(rest, true, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subscription(qos: Qos, id: Option<u32>) -> Subscription {
        Subscription { options: SubscribeOptions { qos, ..SubscribeOptions::default() }, id }
    }

    fn filter(text: &str) -> Filter<'_> {
        Filter::parse(text, 128).expect("a filter")
    }

    #[test]
    fn overlapping_subscriptions_are_one() {
        let mut all = Subscriptions::default();
        all.insert(&filter("a/b"), subscription(Qos::AtMostOnce, Some(1)));
        all.insert(&filter("a/#"), subscription(Qos::ExactlyOnce, Some(2)));
        all.insert(&filter("+/b"), subscription(Qos::AtLeastOnce, None));
        let matched = all.matched("a/b", false).expect("matches");
        assert_eq!((matched.qos, &matched.ids[..]), (Qos::ExactlyOnce, &[1, 2][..]));
        assert_eq!(all.matched("b", false), None);
        all.insert(&filter("#"), subscription(Qos::AtMostOnce, None));
        assert!(all.matched("b", false).is_some() && all.matched("$SYS", false).is_none());
    }

    #[test]
    fn no_local_counts_for_own_messages_only() {
        let mut all = Subscriptions::default();
        let mut no_local = subscription(Qos::AtLeastOnce, None);
        no_local.options.no_local = true;
        all.insert(&filter("a"), no_local);
        assert!(all.has_no_local() && all.matched("a", true).is_none() && all.matched("a", false).is_some());
        assert_eq!(all.insert(&filter("a"), subscription(Qos::AtLeastOnce, None)), Some(no_local));
        assert!(!all.has_no_local() && all.matched("a", true).is_some());
    }

    proptest! {
        #[test]
        fn the_trie_agrees_with_the_filters(
            patterns in prop::collection::vec("(/|[ab$]|\\+){1}(/[ab+]){0,3}(/#)?", 0..8),
            topic in "[ab$](/[ab]){0,4}",
        ) {
            let mut all = Subscriptions::default();
            let valid: Vec<_> = patterns.iter().filter_map(|text| Filter::parse(text, 128)).collect();
            for filter in &valid {
                all.insert(filter, subscription(Qos::AtMostOnce, None));
            }
            let expected = valid.iter().any(|filter| filter.matches(&topic));
            prop_assert_eq!(all.matched(&topic, false).is_some(), expected);
            for filter in &valid {
                all.remove(filter);
            }
            prop_assert!(all.len() == 0 && all.wild.is_none());
        }
    }
}
