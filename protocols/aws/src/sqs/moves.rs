//! Message move tasks: StartMessageMoveTask, ListMessageMoveTasks, CancelMessageMoveTask.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crossdock_common::definition::{Definition, QueueInfo};
use crossdock_common::event::Reply;
use crossdock_common::moves::{MoveFailure, MoveInfo, MoveSpec, MoveStatus};
use crossdock_common::{Name, Refusal};
use serde_json::{Value as Json, json};

use super::{attributes, dead_letters, fifo, guarded, view};
use crate::call::Job;
use crate::error::Failure;
use crate::wire::Shape;

const RATE_MAX: i64 = 500;
const RESULTS_MAX: i64 = 10;

pub(super) async fn start(job: &Job) -> Result<Shape, Failure> {
    let source = resource(job, "SourceArn").await?.ok_or(Failure::MissingParameter("SourceArn"))?;
    let destination = resource(job, "DestinationArn").await?;
    let per_second = rate(job)?;
    let name = source.spec.name.clone();
    guarded(&source).check(job)?;
    if let Some(destination) = &destination {
        guarded(destination).check_action(job, "SendMessage")?;
        check_pair(&source, destination)?;
    }
    if !dead_letters::is_target(job, &name).await? {
        return Err(Failure::Invalid("Source queue must be configured as a Dead Letter Queue.".to_owned()));
    }
    let destination = destination.map(|destination| destination.spec.name);
    let spec = MoveSpec { source: name, destination, per_second };
    let started = job.desk.define(Definition::StartMove(spec)).await.map_err(|refusal| match refusal {
        Refusal::PreconditionFailed(_) => Failure::Invalid(
            "There is already a task running. Only one active task is allowed for a source queue arn at a given time."
                .to_owned(),
        ),
        other => Failure::of_queue(other),
    })?;
    match started {
        Reply::Moves(infos) if !infos.is_empty() => {
            Ok(Shape::fields([("TaskHandle", Shape::text(handle(job, &infos[0])))]))
        }
        _ => Err(Failure::Internal),
    }
}

fn check_pair(source: &QueueInfo, destination: &QueueInfo) -> Result<(), Failure> {
    if source.spec.name == destination.spec.name {
        return Err(Failure::Invalid("Source queue arn and destination queue arn cannot be the same.".to_owned()));
    }
    if fifo::is_fifo(source) != fifo::is_fifo(destination) {
        return Err(Failure::Invalid("Source queue and destination queue must be of the same type.".to_owned()));
    }
    Ok(())
}

fn rate(job: &Job) -> Result<Option<u32>, Failure> {
    let Some(rate) = view(job).integer("MaxNumberOfMessagesPerSecond")? else { return Ok(None) };
    let rate = Some(rate).filter(|rate| (1..=RATE_MAX).contains(rate)).and_then(|rate| u32::try_from(rate).ok());
    let text = "Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: You must enter a number that's \
                between 1 and 500.";
    rate.map(Some).ok_or_else(|| Failure::Invalid(text.to_owned()))
}

pub(super) async fn list(job: &Job) -> Result<Shape, Failure> {
    let source = resource(job, "SourceArn").await?.ok_or(Failure::MissingParameter("SourceArn"))?;
    guarded(&source).check(job)?;
    let most = view(job).integer("MaxResults")?.unwrap_or(1);
    if !(1..=RESULTS_MAX).contains(&most) {
        let text =
            "Value for parameter MaxResults is invalid. Reason: You must enter a number that's between 1 and 10.";
        return Err(Failure::Invalid(text.to_owned()));
    }
    let question = Definition::ListMoves { source: source.spec.name };
    let Reply::Moves(infos) = job.desk.define(question).await.map_err(Failure::of_queue)? else {
        return Err(Failure::Internal);
    };
    let most = usize::try_from(most).unwrap_or(1);
    let results = infos.iter().take(most).map(|info| show(job, info));
    Ok(Shape::fields([("Results", Shape::list("ListMessageMoveTasksResultEntry", results))]))
}

pub(super) async fn cancel(job: &Job) -> Result<Shape, Failure> {
    let handle = view(job).required("TaskHandle")?;
    let invalid = || Failure::Invalid("Value for parameter TaskHandle is invalid.".to_owned());
    let (arn, number) = read_handle(handle).ok_or_else(invalid)?;
    let missing = || Failure::NoResource("Task does not exist.".to_owned());
    let source = job.place.any_queue_of(&arn).map(|name| Name::from(&*name)).ok_or_else(|| no_resource("SourceArn"))?;
    let info = attributes::find(job, &source).await?.ok_or_else(|| no_resource("SourceArn"))?;
    guarded(&info).check(job)?;
    let cancelled = job.desk.define(Definition::CancelMove { source, number }).await;
    match cancelled {
        Ok(Reply::Count(moved)) => Ok(Shape::fields([("ApproximateNumberOfMessagesMoved", Shape::number(moved))])),
        Ok(_) => Err(Failure::Internal),
        Err(Refusal::PreconditionFailed(_)) => Err(missing()),
        Err(refusal) => Err(Failure::of_queue(refusal)),
    }
}

/// The queue whose ARN is given as that parameter.
async fn resource(job: &Job, parameter: &'static str) -> Result<Option<Box<QueueInfo>>, Failure> {
    let Some(arn) = view(job).text(parameter)?.filter(|arn| !arn.is_empty()) else { return Ok(None) };
    let found = match job.place.any_queue_of(arn) {
        Some(queue) => attributes::find(job, &queue).await?,
        None => None,
    };
    found.map(Some).ok_or_else(|| no_resource(parameter))
}

fn no_resource(parameter: &str) -> Failure {
    Failure::NoResource(format!("The resource that you specified for the {parameter} parameter doesn't exist."))
}

/// What AWS's handles are: the task and its queue, in base64.
fn handle(job: &Job, info: &MoveInfo) -> String {
    let handle = json!({ "taskId": info.number.to_string(), "sourceArn": job.place.queue_arn(&info.spec.source) });
    BASE64.encode(handle.to_string())
}

fn read_handle(handle: &str) -> Option<(String, u64)> {
    let handle: Json = serde_json::from_slice(&BASE64.decode(handle).ok()?).ok()?;
    Some((handle["sourceArn"].as_str()?.to_owned(), handle["taskId"].as_str()?.parse().ok()?))
}

fn show(job: &Job, info: &MoveInfo) -> Shape {
    let MoveSpec { source, destination, per_second } = &info.spec;
    let mut fields = Vec::new();
    if info.status == MoveStatus::Running {
        fields.push(("TaskHandle", Shape::text(handle(job, info))));
    }
    fields.push(("Status", Shape::text(word(info.status))));
    fields.push(("SourceArn", Shape::text(job.place.queue_arn(source))));
    fields.extend(destination.iter().map(|queue| ("DestinationArn", Shape::text(job.place.queue_arn(queue)))));
    fields.extend(per_second.map(|rate| ("MaxNumberOfMessagesPerSecond", Shape::number(rate))));
    fields.push(("ApproximateNumberOfMessagesMoved", Shape::number(info.moved)));
    fields.push(("ApproximateNumberOfMessagesToMove", Shape::number(info.to_move)));
    if let MoveStatus::Failed(failure) = info.status {
        fields.push(("FailureReason", Shape::text(reason(failure))));
    }
    fields.push(("StartedTimestamp", Shape::number(info.started_at.0)));
    Shape::Fields(fields)
}

fn word(status: MoveStatus) -> &'static str {
    match status {
        MoveStatus::Running => "RUNNING",
        MoveStatus::Cancelling => "CANCELLING",
        MoveStatus::Completed => "COMPLETED",
        MoveStatus::Cancelled => "CANCELLED",
        MoveStatus::Failed(_) => "FAILED",
    }
}

fn reason(failure: MoveFailure) -> &'static str {
    match failure {
        MoveFailure::UnknownSource => "CouldNotDetermineMessageSource",
        MoveFailure::NoDestination => "AWS.SimpleQueueService.NonExistentQueue",
        MoveFailure::Refused => "The destination queue is full.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_handles_are_read() {
        let encoded = |text: &str| BASE64.encode(text);
        let good = encoded(r#"{"taskId":"7","sourceArn":"arn:aws:sqs:r:000000000000:q"}"#);
        assert_eq!(read_handle(&good), Some(("arn:aws:sqs:r:000000000000:q".to_owned(), 7)));
        let bad = ["", "nonsense", &encoded("{}"), &encoded(r#"{"taskId":7,"sourceArn":"a"}"#)].map(read_handle);
        assert_eq!(bad, [None, None, None, None]);
    }
}
