//! What a subscription is in the core: a binding that remembers filter and options.

use crossdock_common::definition::{BindingSpec, Destination};
use crossdock_common::value::lookup;
use crossdock_common::{Name, Table, Text, Value};

use crate::packet::subscribe::SubscribeOptions;
use crate::requests::Context;
use crate::subscriptions::Subscription;
use crate::topic::{Filter, filter_of_key};

const OPTIONS: &str = "mqtt.options";
const SUBSCRIPTION_ID: &str = "mqtt.subscription-id";
const FILTER: &str = "mqtt.filter";

/// The queue of a shared subscription: everybody who names the same group and filter shares it.
pub(super) fn shared_queue(filter: &Filter<'_>) -> Name {
    Name::from(format!("share.{}.{}", filter.group.unwrap_or_default(), filter.pattern))
}

/// The binding of a filter. One with a level `*` has the key of another filter: an argument tells the bindings apart.
pub(super) fn binding(cx: &Context<'_>, queue: Name, filter: &Filter<'_>, attributes: Table) -> BindingSpec {
    let arguments = match filter.has_literal_star() {
        true => vec![(Text::from_static(FILTER), Value::string(filter.pattern))],
        false => Table::new(),
    };
    BindingSpec {
        source: cx.peer.options.exchange.clone(),
        destination: Destination::Queue(queue),
        key: filter.key(),
        arguments,
        announced: false,
        attributes,
    }
}

/// The options of a subscription, to be kept with its binding.
pub(super) fn attributes(subscription: Subscription) -> Table {
    let mut attributes = vec![(Text::from_static(OPTIONS), Value::U8(subscription.options.to_byte()))];
    attributes.extend(subscription.id.map(|id| (Text::from_static(SUBSCRIPTION_ID), Value::U32(id))));
    attributes
}

/// The filter and options that a binding was made with; `None` for bindings of others.
pub(super) fn from_binding(binding: &BindingSpec) -> Option<(String, Subscription)> {
    let number = |name| lookup(&binding.attributes, name).and_then(Value::as_i64);
    let filter = match lookup(&binding.arguments, FILTER) {
        Some(filter) => filter.as_str()?.to_owned(),
        None => filter_of_key(&binding.key)?,
    };
    let options = SubscribeOptions::from_byte(u8::try_from(number(OPTIONS)?).ok()?)?;
    let id = number(SUBSCRIPTION_ID).and_then(|id| u32::try_from(id).ok());
    Some((filter, Subscription { options, id }))
}
