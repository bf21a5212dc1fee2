//! Which queue or topic a request is about, and whose it is.

use std::borrow::Cow;

use crossdock_common::Table;

use crate::arn::{account_of_url, is_endpoint, queue_of_url};
use crate::call::Job;
use crate::error::Failure;
use crate::namespaces::is_account;
use crate::wire::{Service, View};
use crate::{sns, sqs};

/// What names a topic.
const TOPIC_PARAMETERS: [&str; 3] = ["TopicArn", "TargetArn", "ResourceArn"];

/// The account that the request names as the owner of its queue or topic.
pub(crate) fn owner_of<'a>(service: Service, action: &str, view: View<'a>) -> Option<&'a str> {
    let account = match (service, action) {
        (Service::Sqs, "GetQueueUrl") => view.text("QueueOwnerAWSAccountId").ok()??,
        (Service::Sqs, _) => account_of_url(view.text("QueueUrl").ok()??)?,
        // A subscription is where its topic is, whoever has subscribed.
        (Service::Sns, _) if sns::names_subscription(action) => {
            view.text("SubscriptionArn").ok()??.split(':').nth(4)?
        }
        (Service::Sns, _) => topic_arn(view)?.split(':').nth(4)?,
        (Service::Sts, _) => return None,
    };
    Some(account).filter(|account| is_account(account))
}

/// The queue or topic, as it is called where it is; `None` if the request names none.
///
/// # Errors
/// It names what is no topic of that place.
pub(super) fn of(job: &Job, service: Service) -> Result<Option<Cow<'_, str>>, Failure> {
    let view = job.fields.view();
    Ok(match (service, job.action.as_str()) {
        (Service::Sqs, "GetQueueUrl") => view.text("QueueName")?.map(Cow::Borrowed),
        (Service::Sqs, _) => view.text("QueueUrl")?.and_then(|url| queue_of_url(url, &job.place.account)),
        (Service::Sns, _) => match topic_arn(view) {
            Some(arn) => Some(Cow::Borrowed(job.place.topic_of(arn, "TopicArn")?)),
            None => None,
        },
        (Service::Sts, _) => None,
    })
}

/// Numbers and endpoints of applications are nobody's to share.
fn topic_arn(view: View<'_>) -> Option<&str> {
    if view.text("PhoneNumber").ok()?.is_some() {
        return None;
    }
    let given = TOPIC_PARAMETERS.into_iter().find_map(|name| view.text(name).ok().flatten());
    given.filter(|arn| !is_endpoint(arn))
}

/// The policy among the attributes of a queue or an exchange.
pub(super) fn policy(service: Service, attributes: &Table) -> Option<&str> {
    match service {
        Service::Sns => sns::policy_in(attributes),
        _ => sqs::attributes::policy_in(attributes),
    }
}
