//! What a SUBSCRIBE asks for, beside where.

use bytes::Bytes;
use crossdock_common::value::lookup;
use crossdock_common::{Name, Table, Text, Value, address};

use super::argument;
use super::subscriptions::{AckMode, Tag};
use crate::error::{Fault, quote};
use crate::frame::Headers;

/// Arguments of the consumer that are passed on.
const ARGUMENTS: [&str; 4] = ["x-stream-offset", "x-stream-filter", "x-stream-match-unfiltered", SELECTOR];
/// The core's name for a condition on messages.
const SELECTOR: &str = "x-selector";

/// How a queue of the subscription's own is bound.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub(super) exchange: Name,
    pub(super) pattern: Bytes,
    pub(super) arguments: Table,
}

impl Binding {
    /// What is subscribed to, in a spelling that is always the same.
    pub(super) fn describe(&self) -> Value {
        let selector = lookup(&self.arguments, SELECTOR).and_then(Value::as_str).unwrap_or_default();
        Value::string(format!("{} {selector}", address::of_exchange(&self.exchange, &self.pattern)))
    }
}

/// How to consume, once the queue has its name.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) tag: Tag,
    pub(super) mode: AckMode,
    pub(super) window: u32,
    pub(super) priority: i32,
    pub(super) exclusive: bool,
    pub(super) arguments: Table,
    pub(super) binding: Option<Binding>,
    /// The queue of a durable subscription to a topic.
    pub(super) durable: bool,
    /// It looks at what the queue has, and takes nothing.
    pub(super) browser: bool,
    /// The queue was found by a pattern.
    pub(super) found: bool,
    /// The `/temp-queue/…` that the queue is behind.
    pub(super) temporary: Option<Text>,
}

impl Plan {
    /// The queue behind a `/temp-queue/…`: its deliveries come with that name as subscription.
    pub(super) fn of_reply_queue(temp_queue: &str) -> Self {
        Self {
            tag: Tag::of_id(temp_queue),
            mode: AckMode::Auto,
            window: 0,
            priority: 0,
            exclusive: false,
            arguments: Table::new(),
            binding: None,
            durable: false,
            browser: false,
            found: false,
            temporary: None,
        }
    }

    /// Reads the headers that RabbitMQ or ActiveMQ know.
    pub(super) fn parse(headers: &Headers, tag: Tag, prefetch_default: u32) -> Result<Self, Fault> {
        let browser = headers.is_true("browser");
        let mode = match AckMode::parse(headers)? {
            // There is nothing to acknowledge.
            _ if browser => AckMode::Auto,
            mode => mode,
        };
        let argument = |name: &'static str| Some((Text::from_static(name), argument(&headers.get(name)?)));
        let mut arguments: Table = ARGUMENTS.into_iter().filter_map(argument).collect();
        arguments.extend(selector(headers));
        let prefetch = number(headers, &["prefetch-count", "activemq.prefetchSize"])?;
        Ok(Self {
            tag,
            mode,
            window: if mode == AckMode::Auto { 0 } else { prefetch.unwrap_or(prefetch_default) },
            priority: number(headers, &["x-priority", "activemq.priority"])?.unwrap_or(0),
            exclusive: headers.is_true("exclusive") || headers.is_true("activemq.exclusive"),
            arguments,
            browser,
            ..Self::of_reply_queue("")
        })
    }
}

/// The selector as an argument of a consumer or binding.
pub(super) fn selector(headers: &Headers) -> Option<(Text, Value)> {
    let text = headers.get("selector")?;
    Some((Text::from_static(SELECTOR), Value::string(text.into_owned())))
}

/// The number in the first of these headers that there is.
fn number<N: std::str::FromStr>(headers: &Headers, names: &[&'static str]) -> Result<Option<N>, Fault> {
    let Some((name, text)) = names.iter().find_map(|name| Some((name, headers.get(name)?))) else { return Ok(None) };
    text.trim().parse().map(Some).map_err(|_| {
        Fault::violation("Invalid header", format!("{name} '{}' is not a number in its range", quote(&text)))
    })
}
