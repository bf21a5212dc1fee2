//! Queues of other accounts and regions.

use crossdock_common::definition::QueueSpec;
use crossdock_common::{Name, UnixMillis};

use super::super::standing;
use super::{Addressee, Protocol};
use crate::arn::{Place, any_queue};
use crate::calendar::iso8601;
use crate::policy::{Context, Decision};

/// The queue of another account or region that a subscription's messages go to.
#[derive(Clone, Debug)]
pub struct FarQueue {
    /// What it is called there.
    pub name: Name,
    /// 12 digits.
    pub account: String,
    /// Where it is.
    pub region: String,
    /// The account that has subscribed.
    owner: String,
    topic_arn: String,
}

impl Addressee {
    /// That queue, if it is one.
    pub fn far_queue(&self) -> Option<FarQueue> {
        let queue = any_queue(&self.endpoint).filter(|_| self.protocol == Protocol::Sqs)?;
        let Place { account, region, .. } = queue.place;
        let (owner, topic_arn) = (self.owner.clone(), self.topic_arn.clone());
        Some(FarQueue { name: Name::from(queue.name), account, region, owner, topic_arn })
    }
}

impl FarQueue {
    /// The account of the topic is that of the queue, and has subscribed.
    pub fn is_of_same_account(&self) -> bool {
        self.owner == self.account && self.topic_arn.split(':').nth(4) == Some(self.account.as_str())
    }

    /// Whether the queue's policy, as it is now, lets SNS deliver the topic's messages. Another account's has to allow it.
    ///
    /// # Errors
    /// Why not.
    pub fn admits(&self, queue: &QueueSpec, now: UnixMillis) -> Result<(), &'static str> {
        let (account, region) = (self.account.clone(), self.region.clone());
        let place = Place { account, region, regions_together: false };
        let context =
            Context::default().with("aws:CurrentTime", iso8601(now)).with("aws:EpochTime", (now.0 / 1000).to_string());
        match standing::decide(queue, &place, &self.topic_arn, context) {
            Decision::Denied => Err("the queue's policy denies it"),
            Decision::Silent if !self.is_of_same_account() => Err("the queue's policy does not allow it"),
            Decision::Silent | Decision::Allowed => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sqs::attributes::keep;

    #[test]
    fn another_account_has_to_allow_it() {
        let far = |owner: &str, account: &str| FarQueue {
            name: "q".into(),
            account: account.to_owned(),
            region: "eu-west-1".to_owned(),
            owner: owner.to_owned(),
            topic_arn: "arn:aws:sns:us-east-1:000000000000:t".to_owned(),
        };
        let queue = |effect: &str, condition: serde_json::Value| {
            let mut queue = QueueSpec { name: "q".into(), ..QueueSpec::default() };
            let statement = json!({
                "Effect": effect,
                "Principal": { "Service": "sns.amazonaws.com" },
                "Action": "sqs:SendMessage",
                "Resource": "*",
                "Condition": condition,
            });
            keep(&mut queue.attributes, "Policy", &json!({ "Statement": [statement] }).to_string());
            queue
        };
        let (own, other) = (far("000000000000", "000000000000"), far("000000000000", "111111111111"));
        // To the subscriber's own queue, and to the topic's account's by another one's subscription.
        let others = [other, far("111111111111", "111111111111"), far("111111111111", "000000000000")];
        let now = UnixMillis(1_767_323_045_678);
        let none = QueueSpec { name: "q".into(), ..QueueSpec::default() };
        let source = |account: &str| json!({ "StringEquals": { "aws:SourceAccount": account } });
        let until = |year: u32| json!({ "DateLessThan": { "aws:CurrentTime": format!("{year}-01-01T00:00:00Z") } });
        for (queue, own_admits, other_admits) in [
            (none, true, false),
            (queue("Allow", json!({})), true, true),
            (queue("Deny", json!({})), false, false),
            (queue("Allow", source("000000000000")), true, true),
            (queue("Allow", source("111111111111")), true, false),
            (queue("Allow", until(2000)), true, false),
            (queue("Allow", until(2100)), true, true),
        ] {
            assert_eq!(own.admits(&queue, now).is_ok(), own_admits, "{queue:?}");
            for other in &others {
                assert_eq!(other.admits(&queue, now).is_ok(), other_admits, "{other:?} {queue:?}");
            }
        }
    }
}
