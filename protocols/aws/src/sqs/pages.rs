//! Lists of queues in pages: ListQueues and ListDeadLetterSourceQueues.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crossdock_common::Name;
use crossdock_common::definition::{Definition, QueueInfo};
use crossdock_common::event::Reply;

use super::view;
use crate::arn::is_queue_name;
use crate::call::Job;
use crate::error::Failure;
use crate::wire::Shape;

/// Most queues of one answer.
const LIST_MAX: usize = 1_000;

/// The part of a list that a request wants.
pub(super) struct Page {
    count_max: usize,
    /// The client wants pages: AWS gives a token only to those.
    is_asked_for: bool,
    after: Option<Name>,
}

impl Page {
    pub(super) fn read(job: &Job) -> Result<Self, Failure> {
        let max = view(job).integer("MaxResults")?;
        let count_max = match max {
            None => LIST_MAX,
            Some(count) => {
                usize::try_from(count).ok().filter(|count| (1..=LIST_MAX).contains(count)).ok_or_else(|| {
                    Failure::value(count, "MaxResults", "MaxResults must be an integer between 1 and 1000")
                })?
            }
        };
        let after = view(job).text("NextToken")?.filter(|token| !token.is_empty()).map(read_token).transpose()?;
        Ok(Self { count_max, is_asked_for: max.is_some(), after })
    }

    /// The answer, with the URLs under `member`.
    pub(super) async fn answer(
        self,
        job: &Job,
        prefix: &str,
        member: &'static str,
        is_listed: impl Fn(&QueueInfo) -> bool,
    ) -> Result<Shape, Failure> {
        let mut names = names(job, prefix, self.after, self.count_max + 1, is_listed).await?;
        let more = names.len() > self.count_max;
        names.truncate(self.count_max);
        let token = names.last().filter(|_| more && self.is_asked_for).map(|name| BASE64.encode(name.as_bytes()));
        let urls = names.iter().map(|name| Shape::text(job.queue_url(name)));
        let token = token.map_or(Shape::Nothing, Shape::Text);
        Ok(Shape::Fields(vec![(member, Shape::list("QueueUrl", urls)), ("NextToken", token)]))
    }
}

fn read_token(token: &str) -> Result<Name, Failure> {
    let name = BASE64.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let name = name.filter(|name| is_queue_name(name)).map(Name::from);
    name.ok_or_else(|| Failure::Invalid("Invalid or expired next token.".to_owned()))
}

/// Names that SQS can say, of queues that are not a single connection's own.
pub(super) async fn names(
    job: &Job,
    prefix: &str,
    mut after: Option<Name>,
    wanted: usize,
    is_listed: impl Fn(&QueueInfo) -> bool,
) -> Result<Vec<Name>, Failure> {
    let mut names = Vec::new();
    loop {
        let question = Definition::ListQueues { prefix: Name::from(prefix), after, count_max: LIST_MAX + 1 };
        let Reply::Queues(page) = job.desk.define(question).await.map_err(Failure::of_queue)? else {
            return Err(Failure::Internal);
        };
        let is_last = page.len() <= LIST_MAX;
        after = page.last().map(|info| info.spec.name.clone());
        let is_visible = |info: &QueueInfo| is_queue_name(&info.spec.name) && !info.spec.exclusive && is_listed(info);
        names.extend(page.into_iter().filter(is_visible).map(|info| info.spec.name));
        if is_last || names.len() >= wanted {
            return Ok(names);
        }
    }
}
