//! DeleteMessage, ChangeMessageVisibility and their batches.

use crossdock_common::command::Outcome;
use crossdock_common::names::DeliveryId;
use crossdock_common::{Name, Refusal, RequestId};

use super::receive::{VISIBILITY_S_MAX, bounded};
use super::{batch, queue, view};
use crate::call::Job;
use crate::error::Failure;
use crate::wire::{Shape, View};

pub(super) async fn delete(job: &Job) -> Result<Shape, Failure> {
    let info = queue(job).await?;
    let request = ask_delete(job, &info.spec.name, view(job))?;
    deleted(job, request).await?;
    Ok(Shape::Nothing)
}

pub(super) async fn delete_batch(job: &Job) -> Result<Shape, Failure> {
    let info = queue(job).await?;
    let entries = batch::entries(view(job))?;
    let asked: Vec<_> = entries.into_iter().map(|(id, entry)| (id, ask_delete(job, &info.spec.name, entry))).collect();
    let mut results = Vec::new();
    for (id, request) in asked {
        let result = match request {
            Ok(request) => deleted(job, request).await,
            Err(failure) => Err(failure),
        };
        results.push((id, result.map(|()| Shape::Fields(Vec::new()))));
    }
    Ok(batch::answer("DeleteMessageBatchResultEntry", results))
}

pub(super) async fn change_visibility(job: &Job) -> Result<Shape, Failure> {
    let info = queue(job).await?;
    let request = ask_visibility(job, &info.spec.name, view(job))?;
    job.desk.reply(request).await.map_err(Failure::of_queue)?;
    Ok(Shape::Nothing)
}

pub(super) async fn change_visibility_batch(job: &Job) -> Result<Shape, Failure> {
    let info = queue(job).await?;
    let entries = batch::entries(view(job))?;
    let asked: Vec<_> =
        entries.into_iter().map(|(id, entry)| (id, ask_visibility(job, &info.spec.name, entry))).collect();
    let mut results = Vec::new();
    for (id, request) in asked {
        let result = match request {
            Ok(request) => job.desk.reply(request).await.map(drop).map_err(Failure::of_queue),
            Err(failure) => Err(failure),
        };
        results.push((id, result.map(|()| Shape::Fields(Vec::new()))));
    }
    Ok(batch::answer("ChangeMessageVisibilityBatchResultEntry", results))
}

fn ask_delete(job: &Job, queue: &Name, view: View<'_>) -> Result<RequestId, Failure> {
    Ok(job.desk.settle(delivery(job, queue, view)?, Outcome::Accepted))
}

/// A message whose lease is over is not deleted and comes again; the request succeeds all the same, as in AWS.
async fn deleted(job: &Job, request: RequestId) -> Result<(), Failure> {
    match job.desk.reply(request).await {
        Ok(_) | Err(Refusal::UnknownDelivery(_)) => Ok(()),
        Err(refusal) => Err(Failure::of_queue(refusal)),
    }
}

fn ask_visibility(job: &Job, queue: &Name, view: View<'_>) -> Result<RequestId, Failure> {
    let delivery = delivery(job, queue, view)?;
    let timeout = view.integer("VisibilityTimeout")?;
    let seconds = bounded(timeout, "VisibilityTimeout", 0, VISIBILITY_S_MAX)?;
    job.environment.memory.changed(queue, delivery);
    Ok(match seconds.ok_or(Failure::MissingParameter("VisibilityTimeout"))? {
        0 => job.desk.settle(delivery, Outcome::Released),
        seconds => job.desk.extend_lease(delivery, seconds * 1000),
    })
}

fn delivery(job: &Job, queue: &Name, view: View<'_>) -> Result<DeliveryId, Failure> {
    job.receipts().read(queue, view.required("ReceiptHandle")?).ok_or(Failure::ReceiptHandle)
}
