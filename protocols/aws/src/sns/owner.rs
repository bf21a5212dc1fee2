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

#[cfg(test)]
mod tests {
    use crossdock_common::Table;

    use super::*;
    use crate::sns::subscription::Outward;

    const HOME: &str = "000000000000";
    const OTHER: &str = "111111111111";

    fn place() -> Place {
        Place::of(&crate::namespaces::tests::home(), None)
    }

    fn subscription(owner: Option<&str>, protocol: Protocol, endpoint: &str) -> Subscription {
        Subscription {
            topic: "t".into(),
            queue: "aws.sns.01234567-89ab-cdef-0123-456789abcdef".into(),
            protocol,
            key: bytes::Bytes::new(),
            id: "01234567-89ab-cdef-0123-456789abcdef".to_owned(),
            subscriber: "bills".to_owned(),
            endpoint: endpoint.to_owned(),
            raw: false,
            filter: None,
            scope: Default::default(),
            replay: None,
            is_replay: false,
            outward: Outward { owner: owner.map(str::to_owned), ..Outward::default() },
            known: None,
        }
    }

    #[test]
    fn an_owner_is_kept_and_an_argument_is_none() {
        let known = subscription(Some(OTHER), Protocol::Https, "https://example.com/");
        let binding = known.to_binding();
        let found = find_in([&binding], &known.id).unwrap();
        assert_eq!((found.owner(&place()), found.owners_place(&place()).account.as_str()), (OTHER, OTHER));
        assert_eq!(subscription(None, Protocol::Sms, "+15551234567").owner(&place()), HOME);
        // What AMQP and STOMP can write are arguments.
        let forged = BindingSpec { arguments: binding.attributes.clone(), attributes: Table::new(), ..binding };
        assert_eq!(find_in([&forged], &known.id), None);
    }

    #[test]
    fn what_a_subscriber_needs_at_home() {
        let needed = |owner, protocol, endpoint: &str| {
            let needed = subscription(owner, protocol, endpoint).needed(&place())?;
            Some((needed.account, needed.region, needed.queue.to_string(), needed.accesses.len(), needed.is_own_queue))
        };
        let queue = |account: &str| format!("arn:aws:sqs:eu-west-1:{account}:q");
        let outwards = |region: &str| {
            let hidden = "aws.sns.01234567-89ab-cdef-0123-456789abcdef".to_owned();
            Some((OTHER.to_owned(), region.to_owned(), hidden, 3, false))
        };
        assert_eq!(needed(None, Protocol::Sqs, &queue(HOME)), None, "the core asks where the topic is");
        let own = Some((OTHER.to_owned(), "eu-west-1".to_owned(), "q".to_owned(), 1, true));
        assert_eq!(needed(Some(OTHER), Protocol::Sqs, &queue(OTHER)), own);
        assert_eq!(needed(Some(OTHER), Protocol::Sqs, &queue(HOME)), outwards("us-east-1"));
        assert_eq!(needed(Some(OTHER), Protocol::Https, &queue(OTHER)), outwards("us-east-1"));
    }
}
