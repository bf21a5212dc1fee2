//! Filter policies of subscriptions: read once, asked for every message of the topic. Pure.
//!
//! Reference: <https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html>

mod document;
mod numeric;
mod parse;
mod tokens;

use crossdock_common::{Filter, FormatTag, Message, Sight};
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

/// Whether the text takes a policy away: it is empty, or an object without members.
pub(super) fn is_none(text: &str) -> bool {
    text.is_empty()
        || json_text::parse(text).is_some_and(|json| json.as_object().is_some_and(serde_json::Map::is_empty))
}

impl Filter for FilterPolicy {
    fn matches(&self, sight: &mut Sight<'_>) -> bool {
        // An earlier version kept such a policy. It lets bodies through that are no documents, too.
        if self.root.is_empty() {
            return true;
        }
        sight.read(|documents: &mut Documents, message| {
            let document = documents.of(self.scope, message);
            document.is_object() && self.root.matches(document)
        })
    }
}

/// What policies look at: a topic has up to 200 of them.
#[derive(Default)]
struct Documents {
    attributes: Option<Json>,
    body: Option<Json>,
}

impl Documents {
    fn of(&mut self, scope: Scope, message: &Message) -> &Json {
        match scope {
            Scope::MessageAttributes => self.attributes.get_or_insert_with(|| attributes_of(message)),
            Scope::MessageBody => self.body.get_or_insert_with(|| body_of(message)),
        }
    }
}

/// The body as a document. One of too many values is to a policy what is no JSON.
fn body_of(message: &Message) -> Json {
    json_text::parse_bytes(&message.body).unwrap_or_default()
}

/// The message's attributes as a document: one of several values is a list.
fn attributes_of(message: &Message) -> Json {
    let attributes = if message.format.tag() == FormatTag::AWS {
        Properties::decode(&message.properties).attributes
    } else {
        let hub = message.hub();
        from_hub(hub, hub.body.as_ref().unwrap_or(&message.body)).attributes
    };
    Json::Object(attributes.iter().filter_map(|one| Some((one.name.to_string(), value_of(one)?))).collect())
}

/// Policies do not see what is of the type Binary.
fn value_of(attribute: &Attribute) -> Option<Json> {
    let AttributeValue::Text(text) = &attribute.value else { return None };
    let parsed = || json_text::parse(text);
    Some(match &*attribute.data_type {
        "String.Array" => parsed().filter(Json::is_array).unwrap_or_else(|| Json::from(&**text)),
        kind if kind.starts_with("Number") => parsed().filter(Json::is_number).unwrap_or_else(|| Json::from(&**text)),
        _ => Json::from(&**text),
    })
}

#[cfg(test)]
mod tests;
