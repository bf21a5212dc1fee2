//! What a policy can give, and what of it the core is told.

use crossdock_common::refusal::{Access, Resource as Kind};
use crossdock_common::warrant::Right;
use crossdock_common::{Name, Warrant};

use super::Resource;
use crate::call::Job;
use crate::wire::Service;

/// What the core has to let through for an action. `None`: it is the owner's, and no policy gives it. In particular nobody sets a policy
/// who may not configure its queue or topic.
pub(super) fn right(service: Service, action: &str) -> Option<Right> {
    match (service, action) {
        (Service::Sqs, "SendMessage" | "SendMessageBatch") | (Service::Sns, "Publish" | "PublishBatch") => {
            Some(Right::Write)
        }
        (Service::Sqs, "ReceiveMessage" | "PurgeQueue") | (Service::Sns, "Subscribe") => Some(Right::Read),
        (
            Service::Sqs,
            "ChangeMessageVisibility"
            | "ChangeMessageVisibilityBatch"
            | "DeleteMessage"
            | "DeleteMessageBatch"
            | "GetQueueAttributes"
            | "GetQueueUrl"
            | "ListDeadLetterSourceQueues",
        )
        | (
            Service::Sns,
            "GetDataProtectionPolicy" | "GetTopicAttributes" | "ListSubscriptionsByTopic" | "ListTagsForResource",
        ) => Some(Right::Look),
        _ => None,
    }
}

/// What a queue or topic is to the core.
pub(super) fn kind(service: Service) -> Kind {
    if service == Service::Sns { Kind::Exchange } else { Kind::Queue }
}

/// Tells the core.
pub(super) fn give(job: &Job, resource: &Resource<'_>, right: Right) {
    let vhost = &job.environment.namespace.vhost;
    let name = Name::from(resource.name);
    job.desk.allow(Warrant { vhost: vhost.clone(), resource: kind(resource.service), name, right });
    if job.action == "ListDeadLetterSourceQueues" {
        let (resource, name) = (Kind::Vhost, vhost.clone());
        job.desk.allow(Warrant { vhost: vhost.clone(), resource, name, right });
    }
}

/// Lets a user send to a queue that he may write to; false if he may not send there. The core asks, as RabbitMQ does, whether he may
/// publish to the default exchange, which leads to all queues: SQS has no other way to one queue.
pub(super) fn let_writer_send(job: &Job, resource: &Resource<'_>) -> bool {
    let Some(directory) = &job.environment.directory else { return true };
    if resource.service != Service::Sqs || right(resource.service, &job.action) != Some(Right::Write) {
        return true;
    }
    let vhost = &job.environment.namespace.vhost;
    let may = |kind, name: &Name| directory.may(&job.user, vhost, Access::Write, kind, name);
    if may(Kind::Exchange, &Name::default()) {
        return true;
    }
    let may_write = may(Kind::Queue, &Name::from(resource.name));
    if may_write {
        give(job, resource, Right::Write);
    }
    may_write
}

/// Tells the core of the topic of a subscription.
pub(super) fn give_topic(job: &Job, topic: &Name, right: Right) {
    let vhost = job.environment.namespace.vhost.clone();
    job.desk.allow(Warrant { vhost, resource: Kind::Exchange, name: topic.clone(), right });
}

/// The same for a queue that is SNS's own: it may be made, bound, filled and deleted, and not read.
pub(super) fn give_own(job: &Job, queue: &Name) {
    let vhost = &job.environment.namespace.vhost;
    for right in [Right::Keep, Right::Write] {
        job.desk.allow(Warrant { vhost: vhost.clone(), resource: Kind::Queue, name: queue.clone(), right });
    }
}

/// Whether the user might do it at home, with something of that name: the broker's permissions stand for the policies of IAM that the
/// user's own account has.
pub(super) fn is_permitted_at_home(job: &Job, resource: &Resource<'_>, right: Right) -> bool {
    let Some(directory) = &job.environment.directory else { return false };
    let (vhost, kind, name) = (&job.home().namespace.vhost, kind(resource.service), Name::from(resource.name));
    let may = |access, kind, name: &Name| directory.may(&job.user, vhost, access, kind, name);
    let may_look = || [Access::Configure, Access::Write, Access::Read].into_iter().any(|one| may(one, kind, &name));
    match (right, kind) {
        (Right::Look, _) => may_look(),
        (Right::Read, _) => may(Access::Read, kind, &name),
        // Messages come to queues through the default exchange: who may publish there may publish to all queues.
        (Right::Write, Kind::Queue) => {
            may(Access::Write, kind, &name) || may_look() && may(Access::Write, Kind::Exchange, &Name::default())
        }
        (Right::Write, _) => may(Access::Write, kind, &name),
        // No policy gives it.
        (Right::Keep, _) => false,
    }
}
