//! CreateQueue, DeleteQueue, GetQueueUrl, ListQueues, PurgeQueue.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crossdock_common::Name;
use crossdock_common::definition::{Definition, QueueInfo, QueueSpec};
use crossdock_common::event::Reply;
use crossdock_common::refusal::Refusal;

use super::{attributes, fifo, queue_name, redrive, tags, view};
use crate::arn::is_queue_name;
use crate::call::Job;
use crate::error::Failure;
use crate::wire::Shape;

/// Most queues of one answer.
const LIST_MAX: usize = 1_000;

pub(super) async fn create(job: &Job) -> Result<Shape, Failure> {
    let name = view(job).required("QueueName")?;
    let given = view(job).text_map("Attributes")?;
    let is_fifo = given.contains(&("FifoQueue", "true"));
    fifo::check_name(name, is_fifo)?;
    attributes::check(&given, is_fifo)?;
    match job.desk.inspect_queue(name).await {
        Ok(info) => attributes::same(job, &info, &given)?,
        Err(Refusal::NotFound { .. }) => declare(job, name, &given).await?,
        Err(refusal) => return Err(Failure::of_queue(refusal)),
    }
    Ok(Shape::fields([("QueueUrl", Shape::text(job.queue_url(name)))]))
}

async fn declare(job: &Job, name: &str, given: &[(&str, &str)]) -> Result<(), Failure> {
    let mut spec = QueueSpec { name: Name::from(name), durable: true, ..QueueSpec::default() };
    let redrive = redrive::read(job, given, name.ends_with(".fifo")).await?;
    attributes::apply(&mut spec, given, redrive);
    attributes::set_defaults(&mut spec);
    tags::apply(&mut spec.attributes, &tags::given(view(job))?);
    let declared = job.desk.define(Definition::DeclareQueue { spec, passive: false }).await;
    declared.map(drop).map_err(Failure::of_queue)
}

pub(super) async fn delete(job: &Job) -> Result<Shape, Failure> {
    let name = Name::from(queue_name(job)?);
    job.desk.inspect_queue(&name).await.map_err(Failure::of_queue)?;
    let deletion = Definition::DeleteQueue { name, if_unused: false, if_empty: false };
    job.desk.define(deletion).await.map_err(Failure::of_queue)?;
    Ok(Shape::Nothing)
}

pub(super) async fn url(job: &Job) -> Result<Shape, Failure> {
    let name = view(job).required("QueueName")?;
    let owner = view(job).text("QueueOwnerAWSAccountId")?;
    if !is_queue_name(name) || owner.is_some_and(|owner| owner != job.place.account) {
        return Err(Failure::NoQueue);
    }
    job.desk.inspect_queue(name).await.map_err(Failure::of_queue)?;
    Ok(Shape::fields([("QueueUrl", Shape::text(job.queue_url(name)))]))
}

/// Purging is done, and durable, when the answer goes out, so there is no purge "in progress" to refuse another one for.
pub(super) async fn purge(job: &Job) -> Result<Shape, Failure> {
    let name = Name::from(queue_name(job)?);
    job.desk.purge(name).await.map_err(Failure::of_queue)?;
    Ok(Shape::Nothing)
}

pub(super) async fn list(job: &Job) -> Result<Shape, Failure> {
    let prefix = view(job).text("QueueNamePrefix")?.unwrap_or_default();
    let max = view(job).integer("MaxResults")?;
    let count_max = match max {
        None => LIST_MAX,
        Some(count) => usize::try_from(count).ok().filter(|count| (1..=LIST_MAX).contains(count)).ok_or_else(|| {
            Failure::value(count, "MaxResults", &format!("MaxResults must be an integer between 1 and {LIST_MAX}"))
        })?,
    };
    let after = view(job).text("NextToken")?.filter(|token| !token.is_empty()).map(read_token).transpose()?;
    let mut names = visible(job, prefix, after, count_max + 1).await?;
    let more = names.len() > count_max;
    names.truncate(count_max);
    // AWS gives a token only to those who asked for pages.
    let token = names.last().filter(|_| more && max.is_some()).map(|name| BASE64.encode(name.as_bytes()));
    let urls = names.iter().map(|name| Shape::text(job.queue_url(name)));
    let token = token.map_or(Shape::Nothing, Shape::Text);
    Ok(Shape::Fields(vec![("QueueUrls", Shape::list("QueueUrl", urls)), ("NextToken", token)]))
}

fn read_token(token: &str) -> Result<Name, Failure> {
    let name = BASE64.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let name = name.filter(|name| is_queue_name(name)).map(Name::from);
    name.ok_or_else(|| Failure::Invalid("Invalid or expired next token.".to_owned()))
}

/// Names that SQS can say, of queues that are not a single connection's own.
async fn visible(job: &Job, prefix: &str, mut after: Option<Name>, wanted: usize) -> Result<Vec<Name>, Failure> {
    let mut names = Vec::new();
    loop {
        let question = Definition::ListQueues { prefix: Name::from(prefix), after, count_max: LIST_MAX + 1 };
        let Reply::Queues(page) = job.desk.define(question).await.map_err(Failure::of_queue)? else {
            return Err(Failure::Internal);
        };
        let is_last = page.len() <= LIST_MAX;
        after = page.last().map(|info| info.spec.name.clone());
        let is_visible = |info: &QueueInfo| is_queue_name(&info.spec.name) && !info.spec.exclusive;
        names.extend(page.into_iter().filter(is_visible).map(|info| info.spec.name));
        if is_last || names.len() >= wanted {
            return Ok(names);
        }
    }
}
