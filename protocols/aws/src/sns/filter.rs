//! Filter policies of subscriptions: read once, asked for every message of the topic. Pure.
//!
//! Reference: <https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html>

mod document;
mod numeric;
mod parse;
mod tokens;

use crossdock_common::{Filter, FormatTag, Message};
use serde_json::Value as Json;

use crate::convert::attributes::{Attribute, AttributeValue};
use crate::convert::from_hub;
use crate::convert::properties::Properties;
use crate::json_text;
use document::Node;

/// Refuses what is no JSON, as SNS does.
///
/// # Errors
/// What Jackson says of the text.
pub(super) fn json_check(text: &str) -> Result<(), String> {
    tokens::tokens(text).map(drop)
}

/// What of a message a policy looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scope {
    #[default]
    MessageAttributes,
    MessageBody,
}

impl Scope {
    /// SNS's word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::MessageAttributes => "MessageAttributes",
            Self::MessageBody => "MessageBody",
        }
    }

    /// What the word stands for.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::MessageAttributes, Self::MessageBody].into_iter().find(|scope| scope.word() == word)
    }
}

/// Names the attribute that a refusal is about, where SNS does.
pub(super) fn complaint(text: String) -> String {
    if text == parse::NESTED { text } else { format!("FilterPolicy: {text}") }
}

/// A policy that was read.
#[derive(Debug, PartialEq)]
pub(crate) struct FilterPolicy {
    scope: Scope,
    root: Node,
}

impl FilterPolicy {
    /// # Errors
    /// What SNS says of the text, before [`complaint`] has its say.
    pub(crate) fn parse(text: &str, scope: Scope) -> Result<Self, String> {
        Ok(Self { scope, root: parse::policy(text, scope)? })
    }
}

impl Filter for FilterPolicy {
    fn matches(&self, message: &Message) -> bool {
        match self.scope {
            Scope::MessageAttributes => self.root.matches(&attributes_of(message)),
            Scope::MessageBody => {
                // A body of too many values is to a policy what is no JSON.
                let body = json_text::parse_bytes(&message.body);
                body.is_some_and(|body| body.is_object() && self.root.matches(&body))
            }
        }
    }
}

/// The message's attributes as a document: one of several values is a list.
fn attributes_of(message: &Message) -> Json {
    let attributes = if message.format.tag() == FormatTag::AWS {
        Properties::decode(&message.properties).attributes
    } else {
        let hub = message.hub();
        from_hub(hub, hub.body.as_ref().unwrap_or(&message.body)).attributes
    };
    Json::Object(attributes.iter().map(|attribute| (attribute.name.to_string(), value_of(attribute))).collect())
}

fn value_of(attribute: &Attribute) -> Json {
    let text = match &attribute.value {
        AttributeValue::Text(text) => &**text,
        // It is there, and nothing is like it.
        AttributeValue::Binary(_) => return Json::Object(serde_json::Map::new()),
    };
    let parsed = || json_text::parse(text);
    match &*attribute.data_type {
        "String.Array" => parsed().filter(Json::is_array).unwrap_or_else(|| Json::from(text)),
        kind if kind.starts_with("Number") => parsed().filter(Json::is_number).unwrap_or_else(|| Json::from(text)),
        _ => Json::from(text),
    }
}

#[cfg(test)]
mod tests;
