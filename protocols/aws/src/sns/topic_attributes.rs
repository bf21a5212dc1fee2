//! The attributes of topics: which there are, and what they can be.

use serde_json::Value as Json;

use super::delivery_policy::TopicPolicy;
use super::{archive, permissions};
use crate::error::Failure;
use crate::json_text;

/// Texts of any content; README.md says which of them have an effect.
const TEXTS: [&str; 1] = ["KmsMasterKeyId"];
/// Longest of those, and longest name of a role: as long as KMS and IAM make them.
const TEXT_BYTES_MAX: usize = 2_048;
/// Whose deliveries are reported.
const REPORTED: [&str; 5] = ["Application", "Firehose", "HTTP", "Lambda", "SQS"];
const DISPLAY_CHARS_MAX: usize = 100;
const BYTES: core::ops::RangeInclusive<u32> = 1_024..=1_048_576;

/// Why an attribute is refused.
pub(super) enum Refusal {
    /// There is no such attribute.
    Unknown,
    /// Its value is wrong; SNS says which attribute it is.
    Value(String),
    /// The same, where SNS says all of it.
    Whole(Failure),
}

impl Refusal {
    /// As CreateTopic says it.
    pub(super) fn in_attributes(self, name: &str) -> Failure {
        match self {
            Self::Unknown => Failure::SnsInvalid(format!("Attributes Reason: Unknown attribute {name}")),
            Self::Value(text) => Failure::SnsInvalid(format!("Attributes Reason: {text}")),
            Self::Whole(failure) => failure,
        }
    }

    /// As SetTopicAttributes says it.
    pub(super) fn alone(self) -> Failure {
        match self {
            Self::Unknown => Failure::SnsInvalid("AttributeName".to_owned()),
            Self::Value(text) => Failure::SnsInvalid(text),
            Self::Whole(failure) => failure,
        }
    }
}

/// Refuses names that SNS does not know, and values that it does not take.
pub(super) fn check(name: &str, value: &str, is_fifo: bool) -> Result<(), Refusal> {
    let one_of = |words: &[&str]| if words.contains(&value) { Ok(()) } else { Err(wrong(name, value, &any_of(words))) };
    match name {
        "Policy" if value.is_empty() => Ok(()),
        "Policy" => permissions::check(value).map_err(Refusal::Whole),
        "DeliveryPolicy" if value.is_empty() => Ok(()),
        "DeliveryPolicy" => {
            TopicPolicy::parse(value).map(drop).map_err(|text| Refusal::Value(format!("DeliveryPolicy: {text}")))
        }
        "DisplayName" if value.chars().count() > DISPLAY_CHARS_MAX => {
            Err(wrong(name, value, &format!("It can have at most {DISPLAY_CHARS_MAX} characters")))
        }
        "DisplayName" => Ok(()),
        "SignatureVersion" => one_of(&["1", "2"]),
        "TracingConfig" => one_of(&["PassThrough", "Active"]),
        "MaximumMessageSize" if !value.parse().is_ok_and(|bytes| BYTES.contains(&bytes)) => {
            Err(wrong(name, value, "It must be a whole number from 1024 to 1048576"))
        }
        "MaximumMessageSize" => Ok(()),
        "ContentBasedDeduplication" if !is_fifo => {
            Err(Refusal::Value("Content-based deduplication can only be set for FIFO topics".to_owned()))
        }
        "ContentBasedDeduplication" => one_of(&["true", "false"]),
        archive::NAME if !is_fifo => Err(Refusal::Value(format!("{} can only be set for FIFO topics", archive::NAME))),
        archive::NAME => archive::days(value).map(drop).map_err(Refusal::Value),
        "FifoThroughputScope" if !is_fifo => {
            Err(Refusal::Value("FifoThroughputScope can only be set for FIFO topics".to_owned()))
        }
        "FifoThroughputScope" => one_of(&["Topic", "MessageGroup"]),
        name if TEXTS.contains(&name) => check_length(name, value),
        name => check_report(name, value),
    }
}

fn check_length(name: &str, value: &str) -> Result<(), Refusal> {
    if value.len() <= TEXT_BYTES_MAX {
        return Ok(());
    }
    Err(Refusal::Value(format!("{name}: It can have at most {TEXT_BYTES_MAX} bytes.")))
}

/// `SQSSuccessFeedbackRoleArn` and its like.
fn check_report(name: &str, value: &str) -> Result<(), Refusal> {
    let what = REPORTED.iter().find_map(|protocol| name.strip_prefix(protocol)).ok_or(Refusal::Unknown)?;
    match what {
        "SuccessFeedbackRoleArn" | "FailureFeedbackRoleArn" => check_length(name, value),
        "SuccessFeedbackSampleRate" if value.parse::<u8>().is_ok_and(|rate| rate <= 100) => Ok(()),
        "SuccessFeedbackSampleRate" => Err(wrong(name, value, "It must be a whole number from 0 to 100")),
        _ => Err(Refusal::Unknown),
    }
}

fn any_of(words: &[&str]) -> String {
    format!("Must be {}", words.join(" or "))
}

fn wrong(name: &str, value: &str, rule: &str) -> Refusal {
    Refusal::Value(format!("{name}: Invalid value [{value}]. {rule}."))
}

/// What every topic says, and what it says where nothing was set.
pub(super) fn defaults(is_fifo: bool) -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_fifo = [("FifoTopic", "true"), ("ContentBasedDeduplication", "false"), ("FifoThroughputScope", "Topic")];
    [("DisplayName", "")].into_iter().chain(of_fifo.into_iter().filter(move |_| is_fifo))
}

/// Whether an attribute is what is asked for. Documents may be written differently.
pub(super) fn is_same(name: &str, known: Option<&str>, asked: &str) -> bool {
    let signature = [("SignatureVersion", "1")];
    let default = || defaults(true).chain(signature).find(|(with, _)| *with == name).map(|(_, value)| value);
    let Some(known) = known.or_else(default) else { return asked.is_empty() };
    let json = |text: &str| json_text::parse(text).filter(Json::is_object);
    known == asked || json(known).is_some_and(|known| json(asked).is_some_and(|asked| known == asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_have_their_values() {
        for (name, good, bad) in [
            ("SignatureVersion", "2", "3"),
            ("TracingConfig", "Active", "active"),
            ("MaximumMessageSize", "1024", "1023"),
            ("MaximumMessageSize", "1048576", "1048577"),
            ("ContentBasedDeduplication", "true", "yes"),
            ("FifoThroughputScope", "MessageGroup", "Queue"),
            ("SQSSuccessFeedbackSampleRate", "100", "101"),
        ] {
            assert!(check(name, good, true).is_ok() && check(name, bad, true).is_err(), "{name}");
        }
        assert!(check("DisplayName", &"ä".repeat(100), false).is_ok());
        assert!(check("DisplayName", &"ä".repeat(101), false).is_err());
        for text in ["KmsMasterKeyId", "LambdaFailureFeedbackRoleArn"] {
            assert!(check(text, &"k".repeat(2_048), false).is_ok() && check(text, &"k".repeat(2_049), false).is_err());
        }
        for unknown in ["FifoTopic", "Owner", "SMTPFailureFeedbackRoleArn", "SQSFeedback", "DataProtectionPolicy"] {
            assert!(matches!(check(unknown, "true", true), Err(Refusal::Unknown)), "{unknown}");
        }
        assert!(check("ContentBasedDeduplication", "true", false).is_err());
    }

    #[test]
    fn the_same_may_be_written_differently() {
        assert!(is_same("Policy", Some(r#"{"a": 1}"#), r#"{"a":1}"#) && !is_same("Policy", Some(r#"{"a":1}"#), "{}"));
        assert!(
            is_same("ContentBasedDeduplication", None, "false")
                && !is_same("FifoThroughputScope", None, "MessageGroup")
        );
        assert!(is_same("DisplayName", None, "") && is_same("KmsMasterKeyId", None, ""));
        assert!(!is_same("KmsMasterKeyId", None, "k") && is_same("SignatureVersion", None, "1"));
    }
}
