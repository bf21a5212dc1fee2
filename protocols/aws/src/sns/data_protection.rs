//! Data protection policies of topics: GetDataProtectionPolicy, PutDataProtectionPolicy, and what their statements about incoming
//! messages do (`data_protection/find.rs` finds the data).

mod find;

use serde_json::Value as Json;

use super::publish::Entry;
use super::topics::{self, KEPT, kept, permitted};
use super::{refuse_null, view};
use crate::call::Job;
use crate::error::Failure;
use crate::wire::Shape;
use crossdock_common::definition::ExchangeInfo;
use find::Identifier;

/// What it is kept as with a topic's attributes. It is shown by its own action only.
pub(super) const NAME: &str = "DataProtectionPolicy";
const BYTES_MAX: usize = 30_720;
const VERSION: &str = "2021-06-01";
const IDENTIFIERS: &str = "arn:aws:dataprotection::aws:data-identifier/";
const DENIED: &str = "The message has data that the data protection policy of the topic denies.";

pub(super) async fn get(job: &Job) -> Result<Shape, Failure> {
    let info = topic(job).await?;
    let policy = kept(&info, KEPT, NAME).unwrap_or_default();
    Ok(Shape::fields([("DataProtectionPolicy", Shape::text(policy))]))
}

pub(super) async fn put(job: &Job) -> Result<Shape, Failure> {
    let policy = view(job).text("DataProtectionPolicy")?.ok_or_else(|| refuse_null("dataProtectionPolicy"))?;
    check(policy)?;
    let info = topic(job).await?;
    topics::keep_attribute(job, &info, NAME, policy).await
}

async fn topic(job: &Job) -> Result<ExchangeInfo, Failure> {
    let name = job.place.topic_of(view(job).text("ResourceArn")?.unwrap_or_default(), "ResourceArn")?;
    permitted(job, name).await
}

/// Refuses what is no policy. An empty text takes the policy away.
pub(super) fn check(policy: &str) -> Result<(), Failure> {
    if policy.is_empty() {
        return Ok(());
    }
    let refuse = |reason: &str| Failure::SnsInvalid(format!("{NAME} Reason: {reason}"));
    if policy.len() > BYTES_MAX {
        return Err(refuse(&format!("must be at most {BYTES_MAX} bytes long")));
    }
    let policy: Json = serde_json::from_str(policy).map_err(|_| refuse("failed to parse JSON"))?;
    if policy["Version"] != VERSION {
        return Err(refuse(&format!("Version must be {VERSION}")));
    }
    if policy["Name"].as_str().is_none_or(str::is_empty) {
        return Err(refuse("Name is missing"));
    }
    let statements = policy["Statement"].as_array().filter(|statements| !statements.is_empty());
    let statements = statements.ok_or_else(|| refuse("Statement must be a list of statements"))?;
    statements.iter().try_for_each(check_statement).map_err(|reason| refuse(&reason))
}

fn check_statement(statement: &Json) -> Result<(), String> {
    if !["Inbound", "Outbound"].contains(&statement["DataDirection"].as_str().unwrap_or_default()) {
        return Err("DataDirection must be Inbound or Outbound".to_owned());
    }
    let is_texts =
        |list: &Json| list.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Json::is_string));
    if !is_texts(&statement["Principal"]) {
        return Err("Principal must be a list of principals".to_owned());
    }
    let identifiers = &statement["DataIdentifier"];
    let is_arn = |one: &Json| one.as_str().is_some_and(|arn| arn.starts_with("arn:aws:dataprotection:"));
    if !is_texts(identifiers) || !identifiers.as_array().is_some_and(|all| all.iter().all(is_arn)) {
        return Err("DataIdentifier must be a list of ARNs of data identifiers".to_owned());
    }
    match Operation::of(statement) {
        Some(_) => Ok(()),
        None => Err("Operation must be one of Audit, Deidentify with MaskConfig or RedactConfig, and Deny".to_owned()),
    }
}

/// What is done to data that a statement names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Operation {
    Audit,
    Deny,
    /// Every character of it becomes this one.
    Mask(char),
    Redact,
}

impl Operation {
    fn of(statement: &Json) -> Option<Self> {
        let operation = statement["Operation"].as_object().filter(|operation| operation.len() == 1)?;
        if operation.contains_key("Audit") {
            return Some(Self::Audit);
        }
        if operation.contains_key("Deny") {
            return Some(Self::Deny);
        }
        let how = operation.get("Deidentify")?.as_object().filter(|how| how.len() == 1)?;
        if how.contains_key("RedactConfig") {
            return Some(Self::Redact);
        }
        let mask = how.get("MaskConfig")?.get("MaskWithCharacter").map_or(Some("#"), Json::as_str)?;
        let mut characters = mask.chars();
        characters.next().filter(|mask| mask.is_ascii_graphic() && characters.next().is_none()).map(Self::Mask)
    }

    fn apply(&self, text: &str, identifiers: &[Identifier]) -> Result<String, Failure> {
        let replace = |with: &dyn Fn(&str) -> String| {
            identifiers.iter().fold(text.to_owned(), |text, identifier| identifier.replace(&text, with))
        };
        match self {
            Self::Deny if identifiers.iter().any(|identifier| identifier.is_in(text)) => {
                Err(Failure::SnsInvalid(DENIED.to_owned()))
            }
            Self::Audit | Self::Deny => Ok(text.to_owned()),
            Self::Mask(mask) => Ok(replace(&|found| mask.to_string().repeat(found.chars().count()))),
            Self::Redact => Ok(replace(&|_| String::new())),
        }
    }
}

/// What the topic's policy says of messages that come in: refused, or with data taken out. Statements about principals hold for `*`
/// only.
pub(super) fn apply(info: &ExchangeInfo, entry: &mut Entry) -> Result<(), Failure> {
    let Some(policy) = kept(info, KEPT, NAME).filter(|policy| !policy.is_empty()) else { return Ok(()) };
    let policy: Json = serde_json::from_str(policy).unwrap_or_default();
    for statement in policy["Statement"].as_array().into_iter().flatten() {
        let is_for_all = statement["Principal"].as_array().is_some_and(|all| all.iter().any(|one| one == "*"));
        let Some(operation) = Operation::of(statement) else { continue };
        if statement["DataDirection"] != "Inbound" || !is_for_all {
            continue;
        }
        let arns = statement["DataIdentifier"].as_array().into_iter().flatten().filter_map(Json::as_str);
        let named = arns.filter_map(|arn| Identifier::of(arn.strip_prefix(IDENTIFIERS)?));
        let identifiers: Vec<Identifier> = named.collect();
        entry.body = operation.apply(&entry.body, &identifiers)?;
        if let Some(structure) = &entry.properties.structure {
            entry.properties.structure = Some(operation.apply(structure, &identifiers)?.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(operation: &str) -> String {
        format!(
            r#"{{"Name":"n","Version":"2021-06-01","Statement":[{{"DataDirection":"Inbound","Principal":["*"],
            "DataIdentifier":["{IDENTIFIERS}EmailAddress","{IDENTIFIERS}CreditCardNumber"],"Operation":{operation}}}]}}"#
        )
    }

    fn apply_one(operation: &str, text: &str) -> Result<String, Failure> {
        let policy: Json = serde_json::from_str(&policy(operation)).unwrap();
        let operation = Operation::of(&policy["Statement"][0]).unwrap();
        operation.apply(text, &[Identifier::EmailAddress, Identifier::CreditCardNumber])
    }

    #[test]
    fn policies_are_read() {
        for operation in [
            r#"{"Deny":{}}"#,
            r#"{"Audit":{"SampleRate":"99","NoFindingsDestination":{}}}"#,
            r#"{"Deidentify":{"MaskConfig":{"MaskWithCharacter":"x"}}}"#,
            r#"{"Deidentify":{"RedactConfig":{}}}"#,
        ] {
            assert!(check(&policy(operation)).is_ok(), "{operation}");
        }
        for operation in ["{}", r#"{"Allow":{}}"#, r#"{"Deidentify":{"MaskConfig":{"MaskWithCharacter":"xy"}}}"#] {
            assert!(check(&policy(operation)).is_err(), "{operation}");
        }
        assert!(check("").is_ok() && check("{").is_err() && check("{}").is_err());
        assert!(check(&policy(r#"{"Deny":{}}"#).replace("2021", "2022")).is_err());
        assert!(check(&policy(r#"{"Deny":{}}"#).replace("Inbound", "Sideways")).is_err());
    }

    #[test]
    fn data_are_refused_masked_and_redacted() {
        let text = "write to a.b@example.com, pay with 4111 1111 1111 1111 or 4111 1111 1111 1112";
        assert!(apply_one(r#"{"Deny":{}}"#, text).is_err());
        assert_eq!(apply_one(r#"{"Deny":{}}"#, "nothing").unwrap(), "nothing");
        let masked = apply_one(r#"{"Deidentify":{"MaskConfig":{}}}"#, text).unwrap();
        assert_eq!(masked, "write to ###############, pay with ################### or 4111 1111 1111 1112");
        let redacted = apply_one(r#"{"Deidentify":{"RedactConfig":{}}}"#, text).unwrap();
        assert_eq!(redacted, "write to , pay with  or 4111 1111 1111 1112");
        assert_eq!(apply_one(r#"{"Audit":{}}"#, text).unwrap(), text);
    }
}
