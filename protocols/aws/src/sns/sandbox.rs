//! The SMS sandbox: numbers that are verified by a password sent to them. Nobody is kept in the sandbox here: every number can be
//! written to, verified or not.

use bytes::Bytes;

use super::kept::{self, Attributes};
use super::{direct, page_of, read_token, refuse_null, sms, view};
use crate::call::Job;
use crate::convert::properties::Properties;
use crate::error::Failure;
use crate::wire::Shape;

const PREFIX: &str = "sandbox/";
const NUMBERS_MAX: usize = 10;
const PAGE_MAX: i64 = 100;
const ORIGINATION_PAGE_MAX: i64 = 30;
/// What is kept of a number.
const STATUS: &str = "status";
const PASSWORD: &str = "password";
const AT: &str = "at";
const PENDING: &str = "Pending";
const VERIFIED: &str = "Verified";
/// How long a password can be used, and a verified number has to stay, in milliseconds: a day.
const DAY_MS: u64 = 86_400_000;
const LANGUAGES: [&str; 13] = [
    "de-DE", "en-GB", "en-US", "es-419", "es-ES", "fr-CA", "fr-FR", "it-IT", "ja-JP", "kr-KR", "pt-BR", "zh-CN",
    "zh-TW",
];

pub(super) fn status() -> Shape {
    Shape::fields([("IsInSandbox", Shape::Bool(false))])
}

/// The password is sent, a new one each time; a verified number stays verified.
pub(super) async fn create(job: &Job) -> Result<Shape, Failure> {
    let number = number(job)?;
    check_language(job)?;
    if sms::is_opted_out(job, number).await? {
        return Err(Failure::sns(400, "OptedOut", "The phone number is opted out of receiving SMS messages."));
    }
    let known = kept::find(job, &resource(number)).await?;
    if known.as_ref().is_some_and(|known| is(known, VERIFIED)) {
        return Ok(Shape::Fields(Vec::new()));
    }
    if known.is_none() && kept::list(job, PREFIX, None, NUMBERS_MAX).await?.len() >= NUMBERS_MAX {
        let text = format!("There can be at most {NUMBERS_MAX} phone numbers in the SMS sandbox.");
        return Err(Failure::sns(400, "UserError", text));
    }
    let password = format!("{:06}", job.desk.uuid() % 1_000_000);
    keep(job, number, PENDING, Some(&password)).await?;
    send(job, number, &password).await?;
    Ok(Shape::Fields(Vec::new()))
}

fn check_language(job: &Job) -> Result<(), Failure> {
    let Some(language) = view(job).text("LanguageCode")?.filter(|language| !LANGUAGES.contains(language)) else {
        return Ok(());
    };
    let known = LANGUAGES.join(", ");
    Err(refuse_value(language, "languageCode", &format!("Member must satisfy enum value set: [{known}]")))
}

async fn send(job: &Job, number: &str, password: &str) -> Result<(), Failure> {
    let properties = Properties {
        message_id: job.desk.uuid(),
        target: Some(format!("sms:{number}").into()),
        ..Properties::default()
    };
    let text = Bytes::from(format!("Your verification code is {password}."));
    direct::send(job, &properties, text).await
}

pub(super) async fn verify(job: &Job) -> Result<Shape, Failure> {
    let number = number(job)?;
    let password = view(job).text("OneTimePassword")?.ok_or_else(|| refuse_null("oneTimePassword"))?;
    if !(5..=8).contains(&password.len()) || !password.bytes().all(|byte| byte.is_ascii_digit()) {
        let rule = "Member must satisfy regular expression pattern: ^[0-9]+$, and have 5 to 8 digits";
        return Err(refuse_value(password, "oneTimePassword", rule));
    }
    let known = find(job, number).await?;
    if is(&known, VERIFIED) {
        return Ok(Shape::Fields(Vec::new()));
    }
    let is_in_time = job.desk.now().unix.0.saturating_sub(at(&known)) < DAY_MS;
    if is_in_time && known.get(PASSWORD).is_some_and(|known| known == password) {
        keep(job, number, VERIFIED, None).await?;
        return Ok(Shape::Fields(Vec::new()));
    }
    Err(Failure::sns(400, "VerificationException", "The one-time password (OTP) used for verification is invalid."))
}

pub(super) async fn delete(job: &Job) -> Result<Shape, Failure> {
    let number = number(job)?;
    let known = find(job, number).await?;
    if is(&known, VERIFIED) && job.desk.now().unix.0.saturating_sub(at(&known)) < DAY_MS {
        let text = "A verified phone number can be deleted 24 hours after its verification.";
        return Err(Failure::sns(400, "UserError", text));
    }
    kept::forget(job, &resource(number)).await?;
    Ok(Shape::Fields(Vec::new()))
}

pub(super) async fn list(job: &Job) -> Result<Shape, Failure> {
    let count_max = count_max(job, PAGE_MAX)?;
    let after = read_token(view(job), "NextToken")?;
    let found = kept::list(job, PREFIX, after.as_deref(), count_max + 1).await?;
    let show = |(resource, known): (String, Attributes)| {
        let number = Shape::text(resource.strip_prefix(PREFIX).unwrap_or_default());
        let status = Shape::text(if is(&known, VERIFIED) { VERIFIED } else { PENDING });
        (resource, Shape::fields([("PhoneNumber", number), ("Status", status)]))
    };
    Ok(page_of(("PhoneNumbers", "NextToken"), count_max, found.into_iter().map(show).collect()))
}

/// There are none: whoever carries text messages has numbers of its own.
pub(super) fn list_origination_numbers(job: &Job) -> Result<Shape, Failure> {
    count_max(job, ORIGINATION_PAGE_MAX)?;
    read_token(view(job), "NextToken")?;
    Ok(Shape::fields([("PhoneNumbers", Shape::list("member", []))]))
}

fn count_max(job: &Job, most: i64) -> Result<usize, Failure> {
    let count = view(job).integer("MaxResults")?.unwrap_or(most);
    let rule = match count {
        ..1 => "Member must have value greater than or equal to 1".to_owned(),
        count if count > most => format!("Member must have value less than or equal to {most}"),
        count => return usize::try_from(count).map_err(|_| Failure::Internal),
    };
    Err(refuse_value(&count.to_string(), "maxResults", &rule))
}

fn number(job: &Job) -> Result<&str, Failure> {
    let number = view(job).text("PhoneNumber")?.ok_or_else(|| refuse_null("phoneNumber"))?;
    if number.starts_with('+') && sms::is_number(number) {
        return Ok(number);
    }
    let rule = r"Member must satisfy regular expression pattern: ^(\+[0-9]{8,}|[0-9]{0,9})$";
    Err(refuse_value(number, "phoneNumber", rule))
}

fn refuse_value(value: &str, member: &str, rule: &str) -> Failure {
    Failure::SnsValidation(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {rule}"
    ))
}

fn resource(number: &str) -> String {
    format!("{PREFIX}{number}")
}

fn is(known: &Attributes, status: &str) -> bool {
    known.get(STATUS).is_some_and(|known| known == status)
}

fn at(known: &Attributes) -> u64 {
    known.get(AT).and_then(|at| at.parse().ok()).unwrap_or(0)
}

async fn find(job: &Job, number: &str) -> Result<Attributes, Failure> {
    let none = || Failure::sns(404, "ResourceNotFound", "Resource does not exist");
    kept::find(job, &resource(number)).await?.ok_or_else(none)
}

async fn keep(job: &Job, number: &str, status: &str, password: Option<&str>) -> Result<(), Failure> {
    let mut known =
        Attributes::from([(STATUS.to_owned(), status.to_owned()), (AT.to_owned(), job.desk.now().unix.0.to_string())]);
    known.extend(password.map(|password| (PASSWORD.to_owned(), password.to_owned())));
    kept::keep(job, &resource(number), &known).await
}
