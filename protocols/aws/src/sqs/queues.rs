//! CreateQueue, DeleteQueue, GetQueueUrl, ListQueues, PurgeQueue.

use crossdock_common::Name;
use crossdock_common::definition::{Definition, QueueSpec};
use crossdock_common::refusal::Refusal;

use super::pages::Page;
use super::{attributes, fifo, known, permitted, queue, redrive, tags, view};
use crate::call::{Environment, Job};
use crate::error::Failure;
use crate::wire::Shape;

pub(super) async fn create(job: &Job) -> Result<Shape, Failure> {
    let name = view(job).required("QueueName")?;
    let given = view(job).text_map("Attributes")?;
    let is_fifo = given.contains(&("FifoQueue", "true"));
    fifo::check_name(name, is_fifo)?;
    attributes::check(&given, is_fifo)?;
    let tags = tags::given(view(job))?;
    match job.desk.inspect_queue(name).await {
        Ok(info) => {
            attributes::same(job, &info, &given)?;
            // Another request may have made it a moment ago, so that it is not durable yet.
            job.desk.define_if(known(&info.spec), None).await.map_err(Failure::of_queue)?;
        }
        Err(Refusal::NotFound { .. }) => declare(job, name, &given, &tags).await?,
        Err(refusal) => return Err(Failure::of_queue(refusal)),
    }
    Ok(Shape::fields([("QueueUrl", Shape::text(job.queue_url(name)))]))
}

async fn declare(job: &Job, name: &str, given: &[(&str, &str)], tags: &[(&str, &str)]) -> Result<(), Failure> {
    let Environment { memory, quirks, .. } = &*job.environment;
    if !quirks.recreate_at_once && memory.was_deleted(name, job.desk.now().instant) {
        return Err(Failure::DeletedRecently);
    }
    let mut spec = QueueSpec { name: Name::from(name), durable: true, ..QueueSpec::default() };
    let redrive = redrive::read(job, given, (name, name.ends_with(".fifo"))).await?;
    attributes::apply(&mut spec, given, redrive);
    fifo::check_together(&spec, given)?;
    attributes::set_defaults(&mut spec);
    tags::apply(&mut spec.attributes, tags);
    let declared = job.desk.define(Definition::DeclareQueue { spec, passive: false }).await;
    declared.map(drop).map_err(Failure::of_queue)
}

pub(super) async fn delete(job: &Job) -> Result<Shape, Failure> {
    let name = queue(job).await?.spec.name;
    let deletion = Definition::DeleteQueue { name: name.clone(), if_unused: false, if_empty: false };
    job.desk.define(deletion).await.map_err(Failure::of_queue)?;
    job.environment.memory.deleted(&name, job.desk.now().instant);
    Ok(Shape::Nothing)
}

pub(super) async fn url(job: &Job) -> Result<Shape, Failure> {
    let name = view(job).required("QueueName")?;
    let owner = view(job).text("QueueOwnerAWSAccountId")?;
    if owner.is_some_and(|owner| owner != job.place.account) {
        return Err(Failure::NoQueue);
    }
    permitted(job, name).await?;
    Ok(Shape::fields([("QueueUrl", Shape::text(job.queue_url(name)))]))
}

/// Purging is done, and durable, when the answer goes out. AWS takes up to a minute for it, and refuses another one meanwhile.
pub(super) async fn purge(job: &Job) -> Result<Shape, Failure> {
    let name = queue(job).await?.spec.name;
    let is_free = job.environment.memory.purged(&name, job.desk.now().instant);
    if !is_free && !job.environment.quirks.purge_at_once {
        return Err(Failure::PurgeInProgress(name.to_string()));
    }
    let purged = job.desk.purge(name.clone()).await;
    if purged.is_err() && is_free {
        // Who may not does not keep others waiting.
        job.environment.memory.not_purged(&name);
    }
    purged.map_err(Failure::of_queue)?;
    Ok(Shape::Nothing)
}

pub(super) async fn list(job: &Job) -> Result<Shape, Failure> {
    let prefix = view(job).text("QueueNamePrefix")?.unwrap_or_default();
    Page::read(job)?.answer(job, prefix, "QueueUrls", |_| true).await
}
