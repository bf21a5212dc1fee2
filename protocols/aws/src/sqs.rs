//! SQS: one file per group of actions.

pub(crate) mod attributes;
mod batch;
mod dead_letters;
pub(crate) mod fifo;
mod moves;
mod pages;
mod permissions;
mod queues;
pub(crate) mod receive;
mod redrive;
pub(crate) mod send;
mod settle;
mod tags;

use std::borrow::Cow;

use crossdock_common::Refusal;
use crossdock_common::definition::{Definition, Kept, QueueInfo, QueueSpec};

use crate::access::{Resource, appeal};
use crate::arn::queue_of_url;
use crate::call::Job;
use crate::error::Failure;
use crate::wire::{Service, Shape, View};

/// Every action.
pub const ACTIONS: [&str; 23] = [
    "AddPermission",
    "CancelMessageMoveTask",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "CreateQueue",
    "DeleteMessage",
    "DeleteMessageBatch",
    "DeleteQueue",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "ListMessageMoveTasks",
    "ListQueueTags",
    "ListQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "RemovePermission",
    "SendMessage",
    "SendMessageBatch",
    "SetQueueAttributes",
    "StartMessageMoveTask",
    "TagQueue",
    "UntagQueue",
];

/// What `perform` calls by name. Each call has memory for the largest of what is not boxed.
pub(crate) async fn perform(action: &str, job: &Job) -> Result<Shape, Failure> {
    match action {
        "SendMessage" => send::send(job).await,
        "SendMessageBatch" => send::send_batch(job).await,
        "ReceiveMessage" => receive::receive(job).await,
        "DeleteMessage" => settle::delete(job).await,
        "DeleteMessageBatch" => settle::delete_batch(job).await,
        "ChangeMessageVisibility" => settle::change_visibility(job).await,
        "ChangeMessageVisibilityBatch" => settle::change_visibility_batch(job).await,
        _ => Box::pin(administer(action, job)).await,
    }
}

/// Everything that is not done to messages; everything else is an unknown action.
async fn administer(action: &str, job: &Job) -> Result<Shape, Failure> {
    match action {
        "CreateQueue" => queues::create(job).await,
        "DeleteQueue" => queues::delete(job).await,
        "GetQueueUrl" => queues::url(job).await,
        "ListQueues" => queues::list(job).await,
        "PurgeQueue" => queues::purge(job).await,
        "GetQueueAttributes" => attributes::get(job).await,
        "SetQueueAttributes" => attributes::set(job).await,
        "TagQueue" => tags::tag(job).await,
        "UntagQueue" => tags::untag(job).await,
        "ListQueueTags" => tags::list(job).await,
        "AddPermission" => permissions::add(job).await,
        "RemovePermission" => permissions::remove(job).await,
        "ListDeadLetterSourceQueues" => dead_letters::list_sources(job).await,
        "StartMessageMoveTask" => moves::start(job).await,
        "ListMessageMoveTasks" => moves::list(job).await,
        "CancelMessageMoveTask" => moves::cancel(job).await,
        other => Err(Failure::UnknownAction(other.to_owned())),
    }
}

/// The queue that the request names, as it is now, unless its policy denies the caller what is asked.
async fn queue(job: &Job) -> Result<Box<QueueInfo>, Failure> {
    let name = queue_name(job)?;
    permitted(job, &name).await
}

/// The same for a queue of that name.
async fn permitted(job: &Job, name: &str) -> Result<Box<QueueInfo>, Failure> {
    let info = match job.desk.inspect_queue(name).await {
        Err(Refusal::AccessRefused { .. }) => {
            appeal(job, Service::Sqs, name)?;
            job.desk.inspect_queue(name).await
        }
        found => found,
    };
    let info = info.map_err(Failure::of_queue)?;
    guarded(&info).check(job)?;
    Ok(info)
}

/// A queue as it was read.
fn known(spec: &QueueSpec) -> Kept {
    let QueueSpec { name, settings, attributes, .. } = spec.clone();
    Kept::Queue { name, settings, attributes }
}

/// Changes a queue that is still as it was read.
async fn change(job: &Job, known: Kept, spec: QueueSpec) -> Result<Shape, Failure> {
    let QueueSpec { name, settings, attributes, .. } = spec;
    let change = Definition::UpdateQueue { name, settings, attributes };
    job.desk.define_if(known, Some(change)).await.map_err(Failure::of_queue)?;
    Ok(Shape::Nothing)
}

/// A queue as something that has a policy.
pub(crate) fn guarded(info: &QueueInfo) -> Resource<'_> {
    Resource { service: Service::Sqs, name: &info.spec.name, policy: attributes::kept(info, "Policy") }
}

/// Names that SQS does not allow are another protocol's: there may be such a queue.
fn queue_name(job: &Job) -> Result<Cow<'_, str>, Failure> {
    let url = view(job).required("QueueUrl")?;
    queue_of_url(url, &job.place.account).ok_or(Failure::NoQueue)
}

fn view(job: &Job) -> View<'_> {
    job.fields.view()
}
