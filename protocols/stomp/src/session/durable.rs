//! Durable subscriptions, in the three ways in which clients ask for them.
//!
//! | who | how | its queue |
//! |---|---|---|
//! | RabbitMQ | `durable:true` (or `persistent:true`) and `id` | `stomp-subscription-ID@DESTINATION` |
//! | ActiveMQ | `client-id` in CONNECT, `activemq.subscriptionName` | `stomp-durable-CLIENT.NAME`, one consumer at a time |
//! | Artemis | `client-id` in CONNECT, `durable-subscription-name` | the same |

use crossdock_common::definition::{Definition, QueueSpec};
use crossdock_common::value::lookup;
use crossdock_common::{Name, Output, Text};

use super::Session;
use super::plan::Plan;
use super::requests::{Purpose, ReceiptId};
use crate::error::Fault;
use crate::frame::Headers;

/// Longest queue name that is derived from a subscription, as AMQP has it.
const QUEUE_NAME_BYTES_MAX: usize = 255;
/// The headers that name a durable subscription of a client; ActiveMQ and Artemis have each had two spellings.
const NAMES: [&str; 4] =
    ["activemq.subscriptionName", "activemq.subcriptionName", "durable-subscription-name", "durable-subscriber-name"];

/// The attribute of its queue that says what is subscribed to.
const SUBSCRIBED: &str = "stomp.subscribed";

/// A durable subscription that may have been there before, and what it shall be.
pub(super) struct Resumed {
    spec: QueueSpec,
    plan: Plan,
}

/// A durable subscription to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Durable {
    /// Its queue, which others may derive from the same headers.
    pub(super) queue: Name,
    /// It belongs to a client, of which there is one.
    pub(super) of_client: bool,
}

impl Session {
    /// The durable subscription that the headers of a SUBSCRIBE or UNSUBSCRIBE speak of.
    ///
    /// # Errors
    /// They do not say enough to find it again.
    pub(super) fn durable(&self, headers: &Headers) -> Result<Option<Durable>, Fault> {
        if let Some(name) = NAMES.into_iter().find_map(|header| headers.get(header)) {
            let Some(client) = &self.peer.client_id else {
                let detail = "A durable subscription with a name needs a 'client-id' header in CONNECT";
                return Err(Fault::violation("Missing Header", detail));
            };
            let queue = bounded(format!("stomp-durable-{client}.{name}"));
            return Ok(Some(Durable { queue, of_client: true }));
        }
        if !headers.is_true("durable") && !headers.is_true("persistent") {
            return Ok(None);
        }
        let Some(id) = headers.get("id") else {
            return Err(Fault::violation("Missing Header", "Header 'id' is required for durable subscriptions"));
        };
        let destination = headers.get("destination").unwrap_or_default();
        Ok(Some(Durable { queue: bounded(format!("stomp-subscription-{id}@{destination}")), of_client: false }))
    }

    /// Asks what the subscription was until now.
    pub(super) fn look_for_durable(
        &mut self,
        mut spec: QueueSpec,
        plan: Plan,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) {
        let name = spec.name.clone();
        spec.attributes =
            plan.binding.iter().map(|binding| (Text::from_static(SUBSCRIBED), binding.describe())).collect();
        self.define(
            Purpose::Resume(Box::new(Resumed { spec, plan })),
            Definition::InspectQueue { name },
            receipt,
            output,
        );
        self.awaited += 1;
    }

    /// With another topic or selector it is another subscription, as JMS has it: the old one goes, with what waits in it.
    pub(super) fn resume(
        &mut self,
        Resumed { spec, plan }: Resumed,
        found: Option<QueueSpec>,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) {
        let name = spec.name.clone();
        let wanted = lookup(&spec.attributes, SUBSCRIBED);
        if let Some(QueueSpec { settings, attributes, .. }) = found {
            match lookup(&attributes, SUBSCRIBED) {
                same if same == wanted => {}
                // Nobody has noted what it was.
                None => {
                    let attributes = [attributes, spec.attributes.clone()].concat();
                    let note = Definition::UpdateQueue { name, settings, attributes };
                    self.define(Purpose::Plain, note, receipt, output);
                }
                Some(_) => {
                    let delete = Definition::DeleteQueue { name, if_unused: true, if_empty: false };
                    self.define(Purpose::DeleteQueue, delete, receipt, output);
                }
            }
        }
        self.declare_and_consume(spec, plan, receipt, output);
    }

    /// The queue of a client's subscription that an UNSUBSCRIBE ends for good, whether it is consumed now or not.
    pub(super) fn named_durable(&self, headers: &Headers) -> Result<Option<Name>, Fault> {
        let is_named = NAMES.into_iter().any(|header| headers.get(header).is_some());
        if is_named { Ok(self.durable(headers)?.map(|durable| durable.queue)) } else { Ok(None) }
    }
}

/// A name that an operator recognises, and that the same headers give again.
fn bounded(name: String) -> Name {
    if name.len() <= QUEUE_NAME_BYTES_MAX {
        return Name::from(name);
    }
    let hash = fnv(name.as_bytes());
    let mut end = QUEUE_NAME_BYTES_MAX - 33;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    Name::from(format!("{}-{hash:032x}", name.get(..end).unwrap_or_default()))
}

/// FNV-1a, 128 bits: short names for long ids, not a secret.
fn fnv(bytes: &[u8]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}
