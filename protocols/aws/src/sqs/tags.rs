//! TagQueue, UntagQueue, ListQueueTags.

use crossdock_common::definition::QueueInfo;
use crossdock_common::value::lookup;
use crossdock_common::{Table, Text, Value};

use super::{change, known, queue, view};
use crate::call::Job;
use crate::error::Failure;
use crate::wire::{Shape, View};

/// The entry of a queue's attributes that holds its tags.
const KEPT: &str = "sqs-tags";
const TAGS_MAX: usize = 50;
const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;
/// Keys that are AWS's own.
const RESERVED: &str = "aws:";

/// The tags of a request; CreateQueue's JSON spells them in lower case.
pub(super) fn given(view: View<'_>) -> Result<Vec<(&str, &str)>, Failure> {
    let mut tags = view.text_map("Tags")?;
    tags.extend(view.text_map("tags")?);
    tags.iter().try_for_each(|(key, value)| check(key, value))?;
    Ok(tags)
}

/// AWS documents the bounds, and not what it says of them.
fn check(key: &str, value: &str) -> Result<(), Failure> {
    let is_long = |text: &str, max| text.chars().count() > max;
    let problem = match () {
        () if key.to_ascii_lowercase().starts_with(RESERVED) => "Tag keys must not begin with aws:.".to_owned(),
        () if key.is_empty() || is_long(key, KEY_CHARS_MAX) => {
            format!("A tag key must be 1 to {KEY_CHARS_MAX} characters long.")
        }
        () if is_long(value, VALUE_CHARS_MAX) => {
            format!("A tag value must be at most {VALUE_CHARS_MAX} characters long.")
        }
        () => return Ok(()),
    };
    Err(Failure::Invalid(problem))
}

pub(super) async fn tag(job: &Job) -> Result<Shape, Failure> {
    let given = given(view(job))?;
    if given.is_empty() {
        return Err(Failure::MissingParameter("Tags"));
    }
    let mut info = queue(job).await?;
    let known = known(&info.spec);
    apply(&mut info.spec.attributes, &given);
    if tags(&info).count() > TAGS_MAX {
        return Err(Failure::Invalid(format!("Too many tags added for queue {}.", info.spec.name)));
    }
    change(job, known, info.spec).await
}

pub(super) async fn untag(job: &Job) -> Result<Shape, Failure> {
    let keys = view(job).texts("TagKeys")?;
    let mut info = queue(job).await?;
    let known = known(&info.spec);
    let left: Vec<(String, String)> = tags(&info).filter(|(key, _)| !keys.contains(&key.as_str())).collect();
    info.spec.attributes.retain(|(name, _)| &**name != KEPT);
    let left: Vec<(&str, &str)> = left.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    apply(&mut info.spec.attributes, &left);
    change(job, known, info.spec).await
}

pub(super) async fn list(job: &Job) -> Result<Shape, Failure> {
    let info = queue(job).await?;
    Ok(Shape::fields([("Tags", Shape::text_map("Tag", tags(&info)))]))
}

/// Adds tags to a queue's attributes.
pub(super) fn apply(attributes: &mut Table, given: &[(&str, &str)]) {
    if given.is_empty() {
        return;
    }
    let at = attributes.iter().position(|(name, _)| &**name == KEPT);
    let mut tags = match at.map(|at| attributes.remove(at)) {
        Some((_, Value::Map(tags))) => tags,
        _ => Table::new(),
    };
    for (key, value) in given {
        tags.retain(|(known, _)| **known != **key);
        tags.push((Text::from(*key), Value::string(*value)));
    }
    attributes.push((Text::from_static(KEPT), Value::Map(tags)));
}

fn tags(info: &QueueInfo) -> impl Iterator<Item = (String, String)> {
    let tags = match lookup(&info.spec.attributes, KEPT) {
        Some(Value::Map(tags)) => &tags[..],
        _ => &[],
    };
    tags.iter().filter_map(|(key, value)| Some((key.to_string(), value.as_str()?.to_owned())))
}
