//! Text messages: their settings, and numbers that do not want any.

use super::kept::{self, Attributes};
use super::{page_of, read_token, refuse_null, view};
use crate::call::Job;
use crate::error::Failure;
use crate::wire::Shape;

/// The document of the settings.
const SETTINGS: &str = "sms";
const NAMES: [&str; 6] = [
    "DefaultSMSType",
    "DefaultSenderID",
    "DeliveryStatusIAMRole",
    "DeliveryStatusSuccessSamplingRate",
    "MonthlySpendLimit",
    "UsageReportS3Bucket",
];
const TYPES: [&str; 2] = ["Promotional", "Transactional"];
const SENDER_CHARS_MAX: usize = 11;

/// Documents of numbers that are opted out, and of those that came back lately.
const OPTED_OUT: &str = "opted-out/";
const OPTED_IN: &str = "opted-in/";
/// When a number came back, in milliseconds since 1970.
const AT: &str = "at";
/// A number may come back once in so many milliseconds: 30 days.
const AGAIN_MS: u64 = 30 * 86_400_000;

pub(super) async fn set_attributes(job: &Job) -> Result<Shape, Failure> {
    let given = view(job).text_map("attributes")?;
    if given.is_empty() {
        return Err(refuse_null("attributes"));
    }
    for (name, value) in &given {
        check(name, value)?;
    }
    let known = kept::find(job, SETTINGS).await?;
    let mut settings = known.clone().unwrap_or_default();
    settings.extend(given.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    kept::change(job, SETTINGS, known.as_ref(), &settings).await?;
    Ok(Shape::Fields(Vec::new()))
}

fn check(name: &str, value: &str) -> Result<(), Failure> {
    if !NAMES.contains(&name) {
        return Err(Failure::SnsInvalidText(format!("{name} is not a valid attribute")));
    }
    let is_legal = match name {
        "DefaultSMSType" => TYPES.contains(&value),
        "DefaultSenderID" => is_sender(value),
        "DeliveryStatusSuccessSamplingRate" => value.parse::<u8>().is_ok_and(|rate| rate <= 100),
        "MonthlySpendLimit" => value.parse::<u32>().is_ok(),
        _ => true,
    };
    if is_legal { Ok(()) } else { Err(Failure::SnsInvalidText(format!("{name} is invalid"))) }
}

/// Letters, digits and hyphens, with a letter at least.
fn is_sender(value: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let has_letter = value.bytes().any(|byte| byte.is_ascii_alphabetic());
    value.is_empty() || (has_letter && value.len() <= SENDER_CHARS_MAX && value.bytes().all(legal))
}

pub(super) async fn attributes(job: &Job) -> Result<Shape, Failure> {
    let wanted = view(job).texts("attributes")?;
    if let Some(unknown) = wanted.iter().find(|name| !NAMES.contains(name)) {
        return Err(Failure::SnsInvalidText(format!("{unknown} is not a valid attribute")));
    }
    let settings = settings(job).await?;
    let shown = settings.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(&name.as_str()));
    Ok(Shape::fields([("attributes", Shape::text_map("entry", shown))]))
}

async fn settings(job: &Job) -> Result<Attributes, Failure> {
    Ok(kept::find(job, SETTINGS).await?.unwrap_or_default())
}

/// E.164: a plus sign (which Publish may leave out) and up to fifteen digits, the first not 0.
pub(super) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (2..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn check_to_publish(number: &str) -> Result<(), Failure> {
    if is_number(number) {
        return Ok(());
    }
    Err(Failure::SnsInvalid(format!("PhoneNumber Reason: {number} is not valid to publish to")))
}

/// One number is one, with its plus sign or without.
fn with_plus(number: &str) -> String {
    format!("+{}", number.trim_start_matches('+'))
}

fn number(job: &Job) -> Result<String, Failure> {
    let number = view(job).text("phoneNumber")?.ok_or_else(|| refuse_null("phoneNumber"))?;
    if is_number(number) {
        return Ok(with_plus(number));
    }
    Err(Failure::SnsInvalid("PhoneNumber Reason: input incorrectly formatted".to_owned()))
}

pub(super) async fn is_opted_out(job: &Job, number: &str) -> Result<bool, Failure> {
    Ok(kept::find(job, &format!("{OPTED_OUT}{}", with_plus(number))).await?.is_some())
}

pub(super) async fn check_opted_out(job: &Job) -> Result<Shape, Failure> {
    let is_out = is_opted_out(job, &number(job)?).await?;
    Ok(Shape::fields([("isOptedOut", Shape::Bool(is_out))]))
}

pub(super) async fn list_opted_out(job: &Job) -> Result<Shape, Failure> {
    const PAGE: usize = 100;
    let after = read_token(view(job), "nextToken")?;
    let found = kept::list(job, OPTED_OUT, after.as_deref(), PAGE + 1).await?;
    let show = |(resource, _): (String, Attributes)| {
        let number = Shape::text(resource.strip_prefix(OPTED_OUT).unwrap_or_default());
        (resource, number)
    };
    Ok(page_of(("phoneNumbers", "nextToken"), PAGE, found.into_iter().map(show).collect()))
}

/// A number that is not opted out stays as it is.
pub(super) async fn opt_in(job: &Job) -> Result<Shape, Failure> {
    let number = number(job)?;
    if !is_opted_out(job, &number).await? {
        return Ok(Shape::Fields(Vec::new()));
    }
    let (now, resource) = (job.desk.now().unix.0, format!("{OPTED_IN}{number}"));
    let last = kept::find(job, &resource).await?.and_then(|known| known.get(AT)?.parse().ok());
    if last.is_some_and(|last: u64| now.saturating_sub(last) < AGAIN_MS) {
        let text = "A phone number can be opted in only once every 30 days.";
        return Err(Failure::sns(429, "Throttled", text));
    }
    // In this order: a kill in between lets the number in, and not lock it out for 30 days.
    kept::forget(job, &format!("{OPTED_OUT}{number}")).await?;
    kept::keep(job, &resource, &Attributes::from([(AT.to_owned(), now.to_string())])).await?;
    Ok(Shape::Fields(Vec::new()))
}

/// The counterpart, which AWS does by itself: for a gateway whose recipient answered STOP.
pub(super) async fn opt_out(job: &Job) -> Result<Shape, Failure> {
    let at = Attributes::from([(AT.to_owned(), job.desk.now().unix.0.to_string())]);
    kept::keep(job, &format!("{OPTED_OUT}{}", number(job)?), &at).await?;
    Ok(Shape::Fields(Vec::new()))
}
