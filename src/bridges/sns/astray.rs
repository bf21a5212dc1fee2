//! Tells when a subscription's queue does not get its messages any more: it is gone, or its policy denies them to SNS. They go where the
//! core has found out already (`src/core/definitions/standing.rs`).

use std::collections::BTreeMap;

use crossdock_aws::Namespace;
use crossdock_aws::outward::subscription_arn;
use crossdock_common::Name;
use crossdock_core::Astray;

use super::depot::Depot;

/// By their ARNs, subscriptions whose queue gets nothing, and where their messages go instead.
#[derive(Default)]
pub(super) struct Astrays(BTreeMap<String, Option<Name>>);

impl Astrays {
    /// Tells what has changed since the last look.
    pub(super) fn look(&mut self, depot: &Depot) {
        let found = found(depot);
        for (subscription, to) in &found {
            if self.0.get(subscription) != Some(to) {
                tell(subscription, to.as_ref());
            }
        }
        for subscription in self.0.keys().filter(|known| !found.contains_key(*known)) {
            tracing::info!(subscription = ?subscription, "a subscription is gone, or its queue gets its messages again");
        }
        self.0 = found;
    }
}

fn found(depot: &Depot) -> BTreeMap<String, Option<Name>> {
    let namespaces = depot.engine.broker.vhost_names().into_iter();
    let namespaces = namespaces.filter_map(|vhost| depot.namespaces.of_vhost(&vhost));
    let of = |namespace: Namespace| {
        let astray = depot.engine.broker.astray(&namespace.vhost).into_iter();
        astray.filter_map(move |Astray { binding, to }| Some((subscription_arn(&binding, &namespace)?, to)))
    };
    namespaces.flat_map(of).collect()
}

fn tell(subscription: &str, to: Option<&Name>) {
    match to {
        Some(queue) => tracing::warn!(
            subscription = ?subscription,
            %queue,
            "a subscription's queue is gone or denies it: its messages go to the dead-letter queue"
        ),
        None => tracing::warn!(
            subscription = ?subscription,
            "a subscription's queue is gone or denies it: its messages are dropped"
        ),
    }
}
