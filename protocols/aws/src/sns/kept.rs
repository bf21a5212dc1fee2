//! What SNS keeps beside topics and subscriptions: documents of names and values, called after the resource in the ARN.

use std::collections::BTreeMap;

use bytes::Bytes;
use crossdock_common::Name;
use crossdock_common::definition::{Definition, Kept};
use crossdock_common::event::Reply;

use crate::call::Job;
use crate::error::Failure;

/// What documents' names begin with.
const PREFIX: &str = "aws.sns/";

/// The content of a document.
pub(super) type Attributes = BTreeMap<String, String>;

/// The document of a resource, if there is one.
pub(super) async fn find(job: &Job, resource: &str) -> Result<Option<Attributes>, Failure> {
    let found = list(job, resource, None, 1).await?;
    Ok(found.into_iter().find(|(name, _)| name == resource).map(|(_, attributes)| attributes))
}

/// Documents of the resources whose names begin so, in order, after `after`.
pub(super) async fn list(
    job: &Job,
    prefix: &str,
    after: Option<&str>,
    count_max: usize,
) -> Result<Vec<(String, Attributes)>, Failure> {
    let (prefix, after) = (name(prefix), after.map(name));
    let question = Definition::ListDocuments { prefix, after, count_max };
    let Reply::Documents(found) = job.desk.define(question).await.map_err(Failure::of_topic)? else {
        return Err(Failure::Internal);
    };
    Ok(found.iter().filter_map(read).collect())
}

/// Keeps a document in place of the one that was read, if there was one and that is still there; it is durable then. The same again is
/// not written.
pub(super) async fn change(
    job: &Job,
    resource: &str,
    known: Option<&Attributes>,
    attributes: &Attributes,
) -> Result<(), Failure> {
    let encode = |attributes: &Attributes| serde_json::to_vec(attributes).map_err(|_| Failure::Internal);
    let document = known.map(encode).transpose()?.map(Bytes::from);
    let set = Definition::SetDocument { name: name(resource), document: Some(encode(attributes)?.into()) };
    let change = Some(set).filter(|_| known != Some(attributes));
    let kept = Kept::Document { name: name(resource), document };
    job.desk.define_if(kept, change).await.map(drop).map_err(Failure::of_topic)
}

/// Keeps a document; it is durable then.
pub(super) async fn keep(job: &Job, resource: &str, attributes: &Attributes) -> Result<(), Failure> {
    let document = serde_json::to_vec(attributes).map_err(|_| Failure::Internal)?;
    set(job, resource, Some(document.into())).await
}

pub(super) async fn forget(job: &Job, resource: &str) -> Result<(), Failure> {
    set(job, resource, None).await
}

async fn set(job: &Job, resource: &str, document: Option<Bytes>) -> Result<(), Failure> {
    let change = Definition::SetDocument { name: name(resource), document };
    job.desk.define(change).await.map(drop).map_err(Failure::of_topic)
}

/// The document's name.
pub(super) fn name(resource: &str) -> Name {
    format!("{PREFIX}{resource}").into()
}

fn read((name, document): &(Name, Bytes)) -> Option<(String, Attributes)> {
    Some((name.strip_prefix(PREFIX)?.to_owned(), serde_json::from_slice(document).ok()?))
}
