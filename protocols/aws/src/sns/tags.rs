//! TagResource, UntagResource, ListTagsForResource: the tags of topics.

use crossdock_common::Table;
use crossdock_common::definition::ExchangeInfo;

use super::topics::{self, permitted};
use super::{refuse_null, view};
use crate::call::Job;
use crate::error::Failure;
use crate::wire::Shape;

/// The entry of an exchange's attributes that holds its tags.
pub(super) const KEPT: &str = "sns-tags";
const TAGS_MAX: usize = 50;
const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;
/// Keys that are AWS's own.
const RESERVED: &str = "aws:";

/// The tags of a request, checked.
pub(super) fn given(job: &Job) -> Result<Vec<(&str, &str)>, Failure> {
    let given = view(job).list("Tags")?.unwrap_or_default();
    let mut tags = Vec::with_capacity(given.len());
    for (index, tag) in (1..).zip(given) {
        let member = |name: &str| format!("tags.{index}.member.{name}");
        let key = tag.text("Key")?.ok_or_else(|| refuse_null(&member("key")))?;
        let value = tag.text("Value")?.ok_or_else(|| refuse_null(&member("value")))?;
        check_length(key, &member("key"), 1, KEY_CHARS_MAX)?;
        check_length(value, &member("value"), 0, VALUE_CHARS_MAX)?;
        if key.to_ascii_lowercase().starts_with(RESERVED) {
            let text = "Tags Reason: aws: prefixed tag key names are not allowed for external use.";
            return Err(Failure::SnsInvalid(text.to_owned()));
        }
        if tags.iter().any(|(known, _)| *known == key) {
            return Err(Failure::SnsInvalid("Duplicated keys are not allowed.".to_owned()));
        }
        tags.push((key, value));
    }
    if tags.len() > TAGS_MAX {
        return Err(too_many());
    }
    Ok(tags)
}

fn check_length(text: &str, member: &str, min: usize, max: usize) -> Result<(), Failure> {
    let length = text.chars().count();
    let rule = match length {
        _ if length < min => format!("Member must have length greater than or equal to {min}"),
        _ if length > max => format!("Member must have length less than or equal to {max}"),
        _ => return Ok(()),
    };
    Err(Failure::SnsValidation(format!(
        "1 validation error detected: Value '{text}' at '{member}' failed to satisfy constraint: {rule}"
    )))
}

fn too_many() -> Failure {
    Failure::sns(400, "TagLimitExceeded", "Could not complete request: tag quota of per resource exceeded")
}

pub(super) async fn tag(job: &Job) -> Result<Shape, Failure> {
    if view(job).list("Tags")?.is_none() {
        return Err(refuse_null("tags"));
    }
    let given = given(job)?;
    let info = resource(job).await?;
    let mut changed = info.clone();
    topics::put(&mut changed.spec.attributes, KEPT, &given);
    if topics::all_kept(&changed, KEPT).len() > TAGS_MAX {
        return Err(too_many());
    }
    keep(job, &info, changed.spec.attributes).await
}

/// Taking away what is not there is fine.
pub(super) async fn untag(job: &Job) -> Result<Shape, Failure> {
    let keys = view(job).texts("TagKeys")?;
    if keys.is_empty() {
        return Err(refuse_null("tagKeys"));
    }
    let info = resource(job).await?;
    let mut attributes = info.spec.attributes.clone();
    topics::remove(&mut attributes, KEPT, &keys);
    keep(job, &info, attributes).await
}

pub(super) async fn list(job: &Job) -> Result<Shape, Failure> {
    let info = resource(job).await?;
    let tag =
        |(key, value): (String, String)| Shape::fields([("Key", Shape::Text(key)), ("Value", Shape::Text(value))]);
    Ok(Shape::fields([("Tags", Shape::list("member", topics::all_kept(&info, KEPT).into_iter().map(tag)))]))
}

/// The topic that has the tags.
async fn resource(job: &Job) -> Result<ExchangeInfo, Failure> {
    let name = job.place.topic_of(view(job).text("ResourceArn")?.unwrap_or_default(), "ResourceArn")?;
    permitted(job, name).await.map_err(|failure| match failure {
        Failure::SnsNotFound(_) => Failure::sns(404, "ResourceNotFound", "Resource does not exist"),
        other => other,
    })
}

async fn keep(job: &Job, info: &ExchangeInfo, attributes: Table) -> Result<Shape, Failure> {
    topics::keep(job, info, attributes).await?;
    Ok(Shape::Fields(Vec::new()))
}
