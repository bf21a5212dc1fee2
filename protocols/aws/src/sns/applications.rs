//! Platform applications: what mobile endpoints belong to.

use super::endpoints;
use super::kept::{self, Attributes};
use super::{PAGE, page, read_token, refuse_null, view};
use crate::arn::application_of;
use crate::call::Job;
use crate::error::Failure;
use crate::wire::Shape;

const PLATFORMS: [&str; 12] = [
    "ADM",
    "APNS",
    "APNS_SANDBOX",
    "APNS_VOIP",
    "APNS_VOIP_SANDBOX",
    "BAIDU",
    "FCM",
    "GCM",
    "MACOS",
    "MACOS_SANDBOX",
    "MPNS",
    "WNS",
];
/// Platforms whose credentials have no principal.
const WITHOUT_PRINCIPAL: [&str; 2] = ["FCM", "GCM"];
const PRINCIPAL: &str = "PlatformPrincipal";
const CREDENTIAL: &str = "PlatformCredential";
const SETTABLE: [&str; 12] = [
    PRINCIPAL,
    CREDENTIAL,
    "ApplePlatformBundleID",
    "ApplePlatformTeamID",
    "Enabled",
    "EventDeliveryFailure",
    "EventEndpointCreated",
    "EventEndpointDeleted",
    "EventEndpointUpdated",
    "FailureFeedbackRoleArn",
    "SuccessFeedbackRoleArn",
    "SuccessFeedbackSampleRate",
];
const NAME_CHARS_MAX: usize = 256;

pub(super) async fn create(job: &Job) -> Result<Shape, Failure> {
    let name = view(job).text("Name")?.ok_or_else(|| refuse_null("name"))?;
    check_name(name)?;
    let platform = view(job).text("Platform")?.ok_or_else(|| refuse_null("platform"))?;
    if !PLATFORMS.contains(&platform) {
        return Err(Failure::SnsInvalid(format!("Platform Reason: {platform} is not supported")));
    }
    let given = given(job)?;
    check_credentials(platform, &given)?;
    let resource = resource(platform, name);
    match kept::find(job, &resource).await? {
        Some(known) if given.iter().all(|(name, value)| known.get(name) == Some(value)) => {
            kept::change(job, &resource, Some(&known), &known).await?;
        }
        Some(_) => {
            let text = "Attributes Reason: PlatformApplication already exists with different attributes";
            return Err(Failure::SnsInvalid(text.to_owned()));
        }
        None => {
            let mut attributes = given;
            attributes.entry("Enabled".to_owned()).or_insert("true".to_owned());
            kept::change(job, &resource, None, &attributes).await?;
        }
    }
    Ok(Shape::fields([("PlatformApplicationArn", Shape::Text(job.place.sns_arn(&resource)))]))
}

fn check_name(name: &str) -> Result<(), Failure> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let reason = match name {
        "" => "cannot be empty".to_owned(),
        name if name.chars().count() > NAME_CHARS_MAX => format!("must be at most {NAME_CHARS_MAX} characters long"),
        name if !name.bytes().all(legal) => {
            "must contain only characters 'a'-'z', 'A'-'Z', '0'-'9', '_', '-', and '.'".to_owned()
        }
        _ => return Ok(()),
    };
    Err(Failure::SnsInvalid(format!("{name} Reason: {reason}")))
}

/// The attributes of a request, each of them known.
fn given(job: &Job) -> Result<Attributes, Failure> {
    let given = view(job).text_map("Attributes")?;
    if given.is_empty() {
        return Err(refuse_null("attributes"));
    }
    given.into_iter().map(check).collect()
}

fn check((name, value): (&str, &str)) -> Result<(String, String), Failure> {
    if !SETTABLE.contains(&name) {
        return Err(Failure::SnsInvalid(format!("Attributes Reason: Invalid attribute name: {name}")));
    }
    let problem = match name {
        "Enabled" if !["true", "false"].contains(&value.to_ascii_lowercase().as_str()) => "must be true or false",
        "SuccessFeedbackSampleRate"
            if value.parse::<u8>().is_ok_and(|rate| rate > 100) || value.parse::<u8>().is_err() =>
        {
            "must be a whole number from 0 to 100"
        }
        _ => return Ok((name.to_owned(), value.to_owned())),
    };
    Err(Failure::SnsInvalid(format!("Attributes Reason: Invalid value for attribute: {name}: {problem}")))
}

/// Some platforms want both parts of the credentials, or none.
fn check_credentials(platform: &str, given: &Attributes) -> Result<(), Failure> {
    let (has, lacks) = match (given.contains_key(PRINCIPAL), given.contains_key(CREDENTIAL)) {
        (true, false) => (PRINCIPAL, CREDENTIAL),
        (false, true) if !WITHOUT_PRINCIPAL.contains(&platform) => (CREDENTIAL, PRINCIPAL),
        _ => return Ok(()),
    };
    Err(Failure::SnsInvalid(format!("Attributes Reason: {has} attribute provided without {lacks}")))
}

/// Its endpoints go with it. Deleting what is not there is fine.
pub(super) async fn delete(job: &Job) -> Result<Shape, Failure> {
    let resource = named(job)?;
    endpoints::delete_all_of(job, &resource).await?;
    kept::forget(job, &resource).await?;
    Ok(Shape::Nothing)
}

pub(super) async fn list(job: &Job) -> Result<Shape, Failure> {
    let after = read_token(view(job), "NextToken")?;
    let found = kept::list(job, "app/", after.as_deref(), PAGE + 1).await?;
    let show = |(resource, attributes): (String, Attributes)| {
        let arn = Shape::Text(job.place.sns_arn(&resource));
        let shape = Shape::fields([("PlatformApplicationArn", arn), ("Attributes", shown(attributes))]);
        (resource, shape)
    };
    Ok(page("PlatformApplications", found.into_iter().map(show).collect()))
}

pub(super) async fn attributes(job: &Job) -> Result<Shape, Failure> {
    let attributes = find(job, &named(job)?).await?;
    Ok(Shape::fields([("Attributes", shown(attributes))]))
}

pub(super) async fn set_attributes(job: &Job) -> Result<Shape, Failure> {
    let resource = named(job)?;
    let given = given(job)?;
    let known = find(job, &resource).await?;
    let mut attributes = known.clone();
    attributes.extend(given);
    kept::change(job, &resource, Some(&known), &attributes).await?;
    Ok(Shape::Nothing)
}

/// Everything but secrets, and what is only for this broker to know.
fn shown(attributes: Attributes) -> Shape {
    let is_shown = |name: &str| SETTABLE.contains(&name) && ![PRINCIPAL, CREDENTIAL].contains(&name);
    Shape::text_map("entry", attributes.into_iter().filter(|(name, _)| is_shown(name)))
}

/// The application's resource in the request's ARN.
pub(super) fn named(job: &Job) -> Result<String, Failure> {
    let arn = view(job).text("PlatformApplicationArn")?.unwrap_or_default();
    let (platform, name) = application_of(arn)?;
    job.place.check(arn, "PlatformApplicationArn", "PlatformApplication")?;
    Ok(resource(platform, name))
}

pub(super) fn resource(platform: &str, name: &str) -> String {
    format!("app/{platform}/{name}")
}

pub(super) async fn find(job: &Job, resource: &str) -> Result<Attributes, Failure> {
    kept::find(job, resource).await?.ok_or(Failure::SnsNotFound("PlatformApplication"))
}
