//! Endpoints of platform applications: devices, each known by its token.
//!
//! An endpoint's id follows from its token, so that the token leads to it. Where a token was changed, its application says so,
//! and all endpoints are looked through.

use sha2::{Digest, Sha256};

use super::kept::{self, Attributes};
use super::{PAGE, applications, page, read_token, refuse_null, view};
use crate::arn::endpoint_of;
use crate::call::Job;
use crate::digest::uuid_text;
use crate::error::Failure;
use crate::wire::Shape;

const SETTABLE: [&str; 3] = [USER_DATA, ENABLED, TOKEN];
const USER_DATA: &str = "CustomUserData";
const ENABLED: &str = "Enabled";
const TOKEN: &str = "Token";
const USER_DATA_BYTES_MAX: usize = 2_048;
/// What an application says of itself whose endpoints have ids that do not follow from their tokens.
const TOKENS_CHANGED: &str = "tokens-changed";
/// Endpoints that are looked at together.
const SCAN: usize = 1_000;

pub(super) async fn create(job: &Job) -> Result<Shape, Failure> {
    let application = applications::named(job)?;
    let token = view(job).text("Token")?.ok_or_else(|| refuse_null("token"))?;
    let wanted = wanted(job, token)?;
    let owner = applications::find(job, &application).await?;
    let resource = match find_by_token(job, &application, &owner, token).await? {
        Some((resource, known)) => {
            check_same(job, &resource, &known, &wanted)?;
            kept::change(job, &resource, Some(&known), &known).await?;
            resource
        }
        None => make(job, &application, owner, wanted).await?,
    };
    Ok(Shape::fields([("EndpointArn", Shape::Text(job.place.sns_arn(&resource)))]))
}

/// What the request says of a new endpoint.
fn wanted(job: &Job, token: &str) -> Result<Attributes, Failure> {
    if token.is_empty() {
        return Err(Failure::SnsInvalid("Token Reason: cannot be empty".to_owned()));
    }
    let mut wanted: Attributes = view(job).text_map("Attributes")?.into_iter().map(check).collect::<Result<_, _>>()?;
    if let Some(data) = view(job).text("CustomUserData")?.filter(|data| !data.is_empty()) {
        let (name, data) = check((USER_DATA, data))?;
        wanted.entry(name).or_insert(data);
    }
    wanted.insert(TOKEN.to_owned(), token.to_owned());
    Ok(wanted)
}

fn check((name, value): (&str, &str)) -> Result<(String, String), Failure> {
    if !SETTABLE.contains(&name) {
        return Err(Failure::SnsInvalid(format!("Attributes Reason: Invalid attribute name: {name}")));
    }
    let problem = match name {
        USER_DATA if value.len() > USER_DATA_BYTES_MAX => {
            format!("must be at most {USER_DATA_BYTES_MAX} bytes long in UTF-8 encoding")
        }
        ENABLED if !["true", "false"].contains(&value.to_ascii_lowercase().as_str()) => {
            "must be true or false".to_owned()
        }
        TOKEN if value.is_empty() => "cannot be empty".to_owned(),
        ENABLED => return Ok((name.to_owned(), value.to_ascii_lowercase())),
        _ => return Ok((name.to_owned(), value.to_owned())),
    };
    Err(Failure::SnsInvalid(format!("Attributes Reason: Invalid value for attribute: {name}: {problem}")))
}

/// An endpoint that is there is the same if its user data are, and whatever else was asked for.
fn check_same(job: &Job, resource: &str, known: &Attributes, wanted: &Attributes) -> Result<(), Failure> {
    let is_same = wanted.iter().all(|(name, value)| known.get(name) == Some(value));
    if is_same && known.get(USER_DATA) == wanted.get(USER_DATA) {
        return Ok(());
    }
    let arn = job.place.sns_arn(resource);
    Err(Failure::SnsInvalid(format!(
        "Token Reason: Endpoint {arn} already exists with the same Token, but different attributes."
    )))
}

async fn make(job: &Job, application: &str, owner: Attributes, mut wanted: Attributes) -> Result<String, Failure> {
    wanted.entry(ENABLED.to_owned()).or_insert("true".to_owned());
    let token = wanted.get(TOKEN).map(String::as_str).unwrap_or_default();
    let mut resource = resource_of_token(application, token);
    if kept::find(job, &resource).await?.is_some() {
        // It has another token by now.
        resource = resource_of(application, job.desk.uuid());
        note_changed_tokens(job, application, &owner).await?;
    }
    kept::change(job, &resource, None, &wanted).await?;
    Ok(resource)
}

async fn note_changed_tokens(job: &Job, application: &str, known: &Attributes) -> Result<(), Failure> {
    let mut owner = known.clone();
    owner.insert(TOKENS_CHANGED.to_owned(), "true".to_owned());
    kept::change(job, application, Some(known), &owner).await
}

async fn find_by_token(
    job: &Job,
    application: &str,
    owner: &Attributes,
    token: &str,
) -> Result<Option<(String, Attributes)>, Failure> {
    let has = |known: &Attributes| known.get(TOKEN).is_some_and(|known| known == token);
    let resource = resource_of_token(application, token);
    if let Some(known) = kept::find(job, &resource).await?.filter(has) {
        return Ok(Some((resource, known)));
    }
    let mut after = None;
    while owner.contains_key(TOKENS_CHANGED) {
        let found = kept::list(job, &prefix_of(application), after.as_deref(), SCAN).await?;
        let Some((last, _)) = found.last() else { break };
        after = Some(last.clone());
        if let Some(found) = found.into_iter().find(|(_, known)| has(known)) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// `app/GCM/name` has endpoints `endpoint/GCM/name/…`.
fn prefix_of(application: &str) -> String {
    format!("endpoint{}/", application.strip_prefix("app").unwrap_or(application))
}

fn resource_of_token(application: &str, token: &str) -> String {
    let digest = Sha256::new().chain_update(application).chain_update("\0").chain_update(token).finalize();
    let id = digest.iter().take(16).fold(0, |id, byte| id << 8 | u128::from(*byte));
    resource_of(application, id)
}

fn resource_of(application: &str, id: u128) -> String {
    prefix_of(application) + &uuid_text(id)
}

/// Deleting what is not there is fine.
pub(super) async fn delete(job: &Job) -> Result<Shape, Failure> {
    kept::forget(job, &named(job)?).await?;
    Ok(Shape::Nothing)
}

pub(super) async fn delete_all_of(job: &Job, application: &str) -> Result<(), Failure> {
    loop {
        let found = kept::list(job, &prefix_of(application), None, SCAN).await?;
        if found.is_empty() {
            return Ok(());
        }
        for (resource, _) in found {
            kept::forget(job, &resource).await?;
        }
    }
}

pub(super) async fn list(job: &Job) -> Result<Shape, Failure> {
    let application = applications::named(job)?;
    let after = read_token(view(job), "NextToken")?;
    applications::find(job, &application).await?;
    let found = kept::list(job, &prefix_of(&application), after.as_deref(), PAGE + 1).await?;
    let show = |(resource, attributes): (String, Attributes)| {
        let arn = Shape::Text(job.place.sns_arn(&resource));
        let shape = Shape::fields([("EndpointArn", arn), ("Attributes", Shape::text_map("entry", attributes))]);
        (resource, shape)
    };
    Ok(page("Endpoints", found.into_iter().map(show).collect()))
}

pub(super) async fn attributes(job: &Job) -> Result<Shape, Failure> {
    let attributes = find(job, &named(job)?).await?;
    Ok(Shape::fields([("Attributes", Shape::text_map("entry", attributes))]))
}

pub(super) async fn set_attributes(job: &Job) -> Result<Shape, Failure> {
    let resource = named(job)?;
    let given: Attributes = view(job).text_map("Attributes")?.into_iter().map(check).collect::<Result<_, _>>()?;
    if given.is_empty() {
        return Err(refuse_null("attributes"));
    }
    let known = find(job, &resource).await?;
    let mut attributes = known.clone();
    if given.get(TOKEN).is_some_and(|token| attributes.get(TOKEN) != Some(token)) {
        let application = application_of(&resource);
        let owner = applications::find(job, &application).await?;
        note_changed_tokens(job, &application, &owner).await?;
    }
    attributes.extend(given);
    kept::change(job, &resource, Some(&known), &attributes).await?;
    Ok(Shape::Nothing)
}

fn application_of(resource: &str) -> String {
    let mut parts = resource.split('/').skip(1);
    applications::resource(parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// The endpoint's resource in the request's ARN.
fn named(job: &Job) -> Result<String, Failure> {
    let arn = view(job).text("EndpointArn")?.unwrap_or_default();
    let resource = endpoint_of(arn, "EndpointArn")?;
    job.place.check(arn, "EndpointArn", "Endpoint").map(|()| resource.to_owned())
}

async fn find(job: &Job, resource: &str) -> Result<Attributes, Failure> {
    kept::find(job, resource).await?.ok_or(Failure::SnsNotFound("Endpoint"))
}

/// The platform of an endpoint's ARN.
pub(super) fn platform(arn: &str) -> Result<&str, Failure> {
    let resource = endpoint_of(arn, "TargetArn")?;
    resource.split('/').nth(1).ok_or(Failure::Internal)
}

/// Refuses an endpoint that is not there, or takes no messages.
pub(super) async fn check_enabled(job: &Job, arn: &str) -> Result<(), Failure> {
    let resource = endpoint_of(arn, "TargetArn")?;
    let none = || Failure::SnsInvalid("TargetArn Reason: No endpoint found for the target arn specified".to_owned());
    job.place.check(arn, "TargetArn", "Endpoint").map_err(|_| none())?;
    let endpoint = kept::find(job, resource).await?.ok_or_else(none)?;
    let owner = kept::find(job, &application_of(resource)).await?.ok_or_else(none)?;
    let is_off = |of: &Attributes| of.get(ENABLED).is_some_and(|enabled| enabled == "false");
    match (is_off(&owner), is_off(&endpoint)) {
        (true, _) => Err(Failure::sns(400, "PlatformApplicationDisabled", "Platform application is disabled")),
        (_, true) => Err(Failure::sns(400, "EndpointDisabled", "Endpoint is disabled")),
        _ => Ok(()),
    }
}
