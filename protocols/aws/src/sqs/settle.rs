//! DeleteMessage, ChangeMessageVisibility and their batches.

use crossdock_common::command::Outcome;
use crossdock_common::definition::QueueInfo;
use crossdock_common::event::Late;
use crossdock_common::names::DeliveryId;
use crossdock_common::{Refusal, RequestId};

use super::fifo::is_fifo;
use super::receive::{VISIBILITY_S_MAX, bounded};
use super::{batch, queue, view};
use crate::call::Job;
use crate::error::Failure;
use crate::receipt::Receipt;
use crate::wire::{Shape, View};

/// A message that a request names.
struct Named<'a> {
    handle: &'a str,
    receipt: Receipt,
}

/// What the core was asked to do with it.
struct Asked<'a> {
    message: Named<'a>,
    request: RequestId,
}

pub(super) async fn delete(job: &Job) -> Result<Shape, Failure> {
    let info = queue(job).await?;
    let asked = ask_delete(job, &info, view(job))?;
    deleted(job, &info, asked).await?;
    Ok(Shape::Nothing)
}

pub(super) async fn delete_batch(job: &Job) -> Result<Shape, Failure> {
    let info = queue(job).await?;
    let entries = batch::entries(view(job))?;
    let asked: Vec<_> = entries.into_iter().map(|(id, entry)| (id, ask_delete(job, &info, entry))).collect();
    let mut results = Vec::new();
    for (id, asked) in asked {
        let result = match asked {
            Ok(asked) => deleted(job, &info, asked).await,
            Err(failure) => Err(failure),
        };
        results.push((id, result.map(|()| Shape::Fields(Vec::new()))));
    }
    Ok(batch::answer("DeleteMessageBatchResultEntry", results))
}

pub(super) async fn change_visibility(job: &Job) -> Result<Shape, Failure> {
    let info = queue(job).await?;
    let (asked, seconds) = ask_visibility(job, &info, view(job))?;
    changed(job, &info, asked, seconds).await?;
    Ok(Shape::Nothing)
}

pub(super) async fn change_visibility_batch(job: &Job) -> Result<Shape, Failure> {
    let info = queue(job).await?;
    let entries = batch::entries(view(job))?;
    let asked: Vec<_> = entries.into_iter().map(|(id, entry)| (id, ask_visibility(job, &info, entry))).collect();
    let mut results = Vec::new();
    for (id, asked) in asked {
        let result = match asked {
            Ok((asked, seconds)) => changed(job, &info, asked, seconds).await,
            Err(failure) => Err(failure),
        };
        results.push((id, result.map(|()| Shape::Fields(Vec::new()))));
    }
    Ok(batch::answer("ChangeMessageVisibilityBatchResultEntry", results))
}

fn ask_delete<'a>(job: &Job, info: &QueueInfo, view: View<'a>) -> Result<Asked<'a>, Failure> {
    let message = Named::read(job, info, view)?;
    let request = job.desk.settle(message.receipt.delivery, Outcome::Accepted);
    Ok(Asked { message, request })
}

async fn deleted(job: &Job, info: &QueueInfo, Asked { message, request }: Asked<'_>) -> Result<(), Failure> {
    match job.desk.reply(request).await {
        Ok(_) => Ok(()),
        Err(Refusal::UnknownDelivery(_)) => deleted_late(job, info, &message).await,
        Err(refusal) => Err(Failure::of_queue(refusal)),
    }
}

/// The work is done, so the message goes although its visibility timeout is over, unless somebody else has it: then the request succeeds
/// all the same. A FIFO queue refuses.
async fn deleted_late(job: &Job, info: &QueueInfo, message: &Named<'_>) -> Result<(), Failure> {
    let late = job.desk.settle_late(message.receipt.delivery, !is_fifo(info)).await.map_err(Failure::of_queue)?;
    match late {
        Some(Late::Ready | Late::Leased(_)) if is_fifo(info) => Err(message.expired()),
        _ => Ok(()),
    }
}

fn ask_visibility<'a>(job: &Job, info: &QueueInfo, view: View<'a>) -> Result<(Asked<'a>, u64), Failure> {
    let message = Named::read(job, info, view)?;
    let timeout = view.integer("VisibilityTimeout")?;
    let seconds = bounded(timeout, "VisibilityTimeout", 0, VISIBILITY_S_MAX)?;
    let seconds = seconds.ok_or(Failure::MissingParameter("VisibilityTimeout"))?;
    message.check_total(job, seconds)?;
    job.environment.memory.changed(&info.spec.name, message.receipt.delivery);
    let request = end_in(job, message.receipt.delivery, seconds);
    Ok((Asked { message, request }, seconds))
}

fn end_in(job: &Job, delivery: DeliveryId, seconds: u64) -> RequestId {
    match seconds {
        0 => job.desk.settle(delivery, Outcome::Released),
        seconds => job.desk.extend_lease(delivery, seconds * 1000),
    }
}

async fn changed(
    job: &Job,
    info: &QueueInfo,
    Asked { message, request }: Asked<'_>,
    seconds: u64,
) -> Result<(), Failure> {
    match job.desk.reply(request).await {
        Ok(_) => Ok(()),
        Err(Refusal::UnknownDelivery(_)) => changed_late(job, info, &message, seconds).await,
        Err(refusal) => Err(Failure::of_queue(refusal)),
    }
}

/// Of a standard queue, the handle of an earlier receive is good as long as the message is in flight.
async fn changed_late(job: &Job, info: &QueueInfo, message: &Named<'_>, seconds: u64) -> Result<(), Failure> {
    match job.desk.settle_late(message.receipt.delivery, false).await.map_err(Failure::of_queue)? {
        Some(Late::Leased(_)) if is_fifo(info) => Err(message.expired()),
        Some(Late::Leased(current)) => {
            job.desk.reply(end_in(job, current, seconds)).await.map(drop).map_err(Failure::of_queue)
        }
        Some(Late::Ready) => Err(Failure::NotInflight),
        Some(Late::Gone) | None => {
            Err(message.refuse("Message does not exist or is not available for visibility timeout change."))
        }
    }
}

impl<'a> Named<'a> {
    fn read(job: &Job, info: &QueueInfo, view: View<'a>) -> Result<Self, Failure> {
        let handle = view.required("ReceiptHandle")?;
        let receipt = job.receipts().read(&info.spec.name, handle).ok_or(Failure::ReceiptHandle)?;
        Ok(Self { handle, receipt })
    }

    /// The twelve hours are counted from when it was received.
    fn check_total(&self, job: &Job, seconds: u64) -> Result<(), Failure> {
        let since_s = job.desk.now().unix.0.saturating_sub(self.receipt.received_at.0) / 1_000;
        if seconds == 0 || since_s + seconds <= VISIBILITY_S_MAX.unsigned_abs() {
            return Ok(());
        }
        let reason =
            format!("Total VisibilityTimeout for the message is beyond the limit [{VISIBILITY_S_MAX} seconds].");
        Err(Failure::value(seconds, "VisibilityTimeout", &reason))
    }

    fn expired(&self) -> Failure {
        self.refuse("The receipt handle has expired.")
    }

    fn refuse(&self, reason: &str) -> Failure {
        Failure::value(self.handle, "ReceiptHandle", reason)
    }
}
