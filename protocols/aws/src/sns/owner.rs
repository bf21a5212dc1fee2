//! Whose a subscription is. Its account is that of who has subscribed, and need not be the topic's: the subscription is then kept where the
//! topic is, and the user's rights, the dead-letter queue and the list that shows it are those of his own account.

use crossdock_common::Name;
use crossdock_common::definition::BindingSpec;
use crossdock_common::refusal::Access;

use super::protocol::Protocol;
use super::subscription::Subscription;
use crate::arn::{Place, any_queue};

/// What the user who has subscribed to another account's topic has to be permitted in his own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// 12 digits.
    pub account: String,
    /// Where in the account.
    pub region: String,
    /// The queue that it is about. It is there only if it is the account's own.
    pub queue: Name,
    /// All of these.
    pub accesses: &'static [Access],
    /// Messages go to that queue.
    pub is_own_queue: bool,
}

impl Subscription {
    /// The account that has subscribed.
    pub(crate) fn owner<'a>(&'a self, place: &'a Place) -> &'a str {
        self.outward.owner.as_deref().unwrap_or(&place.account)
    }

    /// Where its owner's resources are, of the region of its topic.
    pub(super) fn owners_place(&self, place: &Place) -> Place {
        Place { account: self.owner(place).to_owned(), ..self.place_in(place) }
    }

    /// Within an account the core asks for the same where the topic is: to write to the queue, or to have messages sent outwards.
    pub(crate) fn needed(&self, place: &Place) -> Option<Needed> {
        let owner = self.outward.owner.clone()?;
        let queue = any_queue(&self.endpoint).filter(|queue| queue.place.account == owner);
        Some(match queue.filter(|_| self.protocol == Protocol::Sqs) {
            Some(queue) => Needed {
                account: owner,
                queue: Name::from(queue.name),
                region: queue.place.region,
                accesses: &[Access::Write],
                is_own_queue: true,
            },
            None => Needed {
                account: owner,
                region: self.place_in(place).region,
                queue: self.queue.clone(),
                accesses: &[Access::Configure, Access::Write, Access::Read],
                is_own_queue: false,
            },
        })
    }
}

/// A subscription that is kept there, by its id.
pub(crate) fn find_in<'a>(bindings: impl IntoIterator<Item = &'a BindingSpec>, id: &str) -> Option<Subscription> {
    let mut all = bindings.into_iter().filter_map(Subscription::of_binding);
    all.find(|one| one.id == id && !one.is_replay)
}
