//! What every handler begins with: who asks, for what, when.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use bytes::Bytes;
use crossdock_amqp091::frame::table::{Budget, check, put_content};
use crossdock_common::json::values_max;
use crossdock_common::{Limits, Name, Now, Table};
use serde_json::{Map, Value};

use super::Management;
use super::access::Visitor;
use super::answer::Failure;
use super::listing::{Listing, Query};
use super::session::Session;
use super::values::to_table;
use crate::broker::Engine;

/// Longest name or routing key, in bytes: what AMQP 0-9-1 can say.
pub(super) const SHORT_BYTES_MAX: usize = 255;
/// Most values in a request's object. Each takes 30 to 100 bytes of memory, for two in the text.
const VALUES_MAX: usize = 100_000;
/// Width at which Erlang breaks the terms that RabbitMQ prints.
const TERM_WIDTH: usize = 79;

/// A request by somebody who was let in.
#[derive(Clone)]
pub(super) struct Call {
    pub management: Arc<Management>,
    pub engine: Arc<Engine>,
    pub visitor: Visitor,
    pub query: Query,
    pub now: Now,
}

impl FromRequestParts<Arc<Management>> for Call {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, management: &Arc<Management>) -> Result<Self, Failure> {
        let (visitor, engine) = (parts.extensions.get::<Visitor>(), parts.extensions.get::<Arc<Engine>>());
        let (visitor, engine) = visitor.zip(engine).ok_or_else(Failure::login_failed)?;
        let (visitor, engine) = (visitor.clone(), engine.clone());
        let axum::extract::Query(pairs) = axum::extract::Query::from_request_parts(parts, management)
            .await
            .map_err(|_| Failure::bad_request("the query is not readable"))?;
        let now = engine.clock.now();
        Ok(Self { management: management.clone(), engine, visitor, query: Query(pairs), now })
    }
}

impl Call {
    /// The name of this node.
    pub(super) fn node(&self) -> &str {
        &self.management.node
    }

    /// How a list is wanted.
    pub(super) fn listing(&self) -> Result<Listing, Failure> {
        Listing::of(&self.query)
    }

    /// A vhost whose contents the visitor sees.
    pub(super) fn vhost(&self, name: &str) -> Result<Name, Failure> {
        self.visitor.vhost(&self.engine, name)
    }

    /// That vhost, or all whose contents the visitor sees.
    pub(super) fn vhosts(&self, name: Option<&str>) -> Result<Vec<Name>, Failure> {
        match name {
            Some(name) => Ok(vec![self.vhost(name)?]),
            None => Ok(self.visitor.vhosts(&self.engine)),
        }
    }

    /// The visitor's own connection to the core.
    pub(super) async fn session(&self, vhost: &Name) -> Result<Session, Failure> {
        Session::enter(&self.engine, &self.visitor, vhost).await
    }

    /// Does work that takes long off the threads that serve connections.
    pub(super) async fn aside<T: Send + 'static>(
        self,
        work: impl FnOnce(&Self) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let worked = tokio::task::spawn_blocking(move || work(&self)).await;
        worked.map_err(|_| Failure::unavailable("a defect: see the log"))?
    }
}

/// A name or routing key that every protocol can say.
pub(super) fn short(text: &str) -> Result<&str, Failure> {
    if text.len() <= SHORT_BYTES_MAX { Ok(text) } else { Err(Failure::bad_request("a name is too long")) }
}

/// The object that a request brings.
pub(super) struct Document(Map<String, Value>);

impl Document {
    /// # Errors
    /// `not_json`, as RabbitMQ says; or there are too many values.
    pub(super) fn parse(body: &Bytes) -> Result<Self, Failure> {
        if body.is_empty() {
            return Ok(Self(Map::new()));
        }
        if values_max(body) > VALUES_MAX {
            return Err(Failure::bad_request(format!("there are more than {VALUES_MAX} values")));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            _ => Err(Failure::bad_request("not_json")),
        }
    }

    /// # Errors
    /// Names the members that are missing.
    pub(super) fn require(&self, names: &[&str]) -> Result<(), Failure> {
        let missing = names.iter().filter(|name| !self.0.contains_key(**name));
        let missing: Vec<String> = missing.map(|name| format!("{{key_missing,{name}}}")).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let line = format!("[{}]", missing.join(","));
        let text = if line.len() < TERM_WIDTH { line } else { format!("[{}]", missing.join(",\n ")) };
        Err(Failure::bad_request(text))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A text; empty if it is not there or is something else.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A truth; false if it is not there. Old tools write it as text.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(truth)) => Ok(*truth),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" => Ok(false),
            Some(other) => Err(Failure::bad_request(Value::from(vec![Value::from("not_boolean"), other.clone()]))),
        }
    }

    /// A number; old tools write it as text.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Value::String(text) => text.parse().ok(),
            other => other.as_i64(),
        }
    }

    /// Arguments of a declaration within the limits that hold for AMQP's; none if they are not there.
    pub(super) fn arguments(&self, limits: &Limits) -> Result<Table, Failure> {
        let table = match self.get("arguments") {
            None | Some(Value::Null) => return Ok(Table::new()),
            Some(value) => to_table(value).ok_or_else(|| Failure::bad_request("arguments are not an object"))?,
        };
        let mut content = Vec::new();
        if table.iter().any(|(name, _)| name.len() > SHORT_BYTES_MAX) {
            return Err(Failure::bad_request("the name of an argument is too long"));
        }
        put_content(&mut content, &table);
        check(&content, &mut Budget::new(limits)).map_err(|error| Failure::bad_request(error.0))?;
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &'static str) -> Document {
        Document::parse(&Bytes::from_static(text.as_bytes())).unwrap()
    }

    #[test]
    fn what_is_missing_is_named_as_erlang_prints_it() {
        let get = parse(r#"{"ackmode":"x"}"#).require(&["ackmode", "count", "encoding"]).unwrap_err();
        assert_eq!(get, Failure::bad_request("[{key_missing,count},{key_missing,encoding}]"));
        let publish = parse("{}").require(&["properties", "payload", "payload_encoding"]).unwrap_err();
        let text = "[{key_missing,properties},\n {key_missing,payload},\n {key_missing,payload_encoding}]";
        assert_eq!(publish, Failure::bad_request(text));
    }

    #[test]
    fn values_are_counted_before_they_are_made() {
        let with = |value: &str| format!("{{\"a\":[{}]}}", vec![value; VALUES_MAX].join(","));
        assert!(Document::parse(&with("1").into()).is_err() && Document::parse(&with("[]").into()).is_err());
        let text = Value::from("[,".repeat(VALUES_MAX));
        assert!(Document::parse(&format!("{{\"payload\":{text}}}").into()).is_ok());
    }

    #[test]
    fn truths_and_numbers_may_be_texts() {
        let document = parse(r#"{"a":true,"b":"true","c":"yes","d":"7","e":7}"#);
        assert_eq!((document.flag("a"), document.flag("b"), document.flag("z")), (Ok(true), Ok(true), Ok(false)));
        assert_eq!(document.flag("c"), Err(Failure::bad_request(json!(["not_boolean", "yes"]))));
        assert_eq!((document.number("d"), document.number("e"), document.number("a")), (Some(7), Some(7), None));
        assert!(Document::parse(&Bytes::from_static(b"{")).is_err());
        assert!(Document::parse(&Bytes::from_static(b"[]")).is_err());
    }
}
