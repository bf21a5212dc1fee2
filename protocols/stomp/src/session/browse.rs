//! `browser:true` (ActiveMQ): a subscription that shows what a queue has, says when that was all, and takes nothing.

use bytes::Bytes;
use crossdock_common::command::{Browse, BrowsePlace};
use crossdock_common::event::BrowsedMessages;
use crossdock_common::{Command, ConsumerId, Name, Output, Table};

use super::Session;
use super::requests::{Purpose, ReceiptId};
use crate::destination::{Destination, format_route};
use crate::error::Fault;
use crate::frame::{Headers, ServerFrame, Verb};

/// One that looks through a queue.
#[derive(Clone)]
pub(super) struct Browsing {
    consumer: ConsumerId,
    queue: Name,
    arguments: Table,
}

impl Session {
    /// A browser looks at one queue.
    pub(super) fn check_browser(&self, headers: &Headers, destinations: &[Destination]) -> Result<(), Fault> {
        let is_topic = |one: &Destination| matches!(one, Destination::Topic(_) | Destination::Exchange(..));
        let is_queue = |one: &Destination| !is_topic(one) && self.wildcards(one).is_none();
        if !headers.is_true("browser") || matches!(destinations, [one] if is_queue(one)) {
            return Ok(());
        }
        Err(Fault::violation("Invalid destination", "A browser looks at one queue"))
    }

    /// Begins to look.
    pub(super) fn browse(
        &mut self,
        consumer: ConsumerId,
        queue: Name,
        arguments: Table,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) {
        self.look(Browsing { consumer, queue, arguments }, None, receipt, output);
    }

    /// Asks for the next messages. The core answers when the client has read most of the last ones.
    fn look(
        &mut self,
        browsing: Browsing,
        after: Option<BrowsePlace>,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) {
        let (queue, arguments) = (browsing.queue.clone(), browsing.arguments.clone());
        let request = self.requests.ask(Purpose::Browse(Box::new(browsing)), receipt);
        let browse = Box::new(Browse { queue, after, count_max: u32::MAX, arguments });
        output.commands.push(Command::Browse { request, browse });
    }

    /// Shows what there is, and asks for more or says that this was all.
    pub(super) fn browsed(&mut self, browsing: &Browsing, found: &BrowsedMessages, output: &mut Output) {
        if self.subscriptions.of_mut(browsing.consumer).is_none() || self.is_leaving() {
            return;
        }
        self.show(browsing.consumer, &found.deliveries, output);
        match found.next {
            Some(next) => self.look(browsing.clone(), Some(next), None, output),
            None => self.write_end(browsing, output),
        }
    }

    /// What ActiveMQ writes.
    fn write_end(&mut self, browsing: &Browsing, output: &mut Output) {
        let version = self.version();
        let Some(subscription) = self.subscriptions.of_mut(browsing.consumer) else { return };
        ServerFrame::new(version, "MESSAGE")
            .header_if("subscription", subscription.tag.id())
            .header("browser", "end")
            .header("destination", &format_route("", browsing.queue.as_bytes()))
            .header("message-id", "0")
            .header("content-length", "0")
            .write(&Bytes::new(), &mut output.bytes);
    }
}

/// What a browser showed is nobody's: an ACK changes nothing, and a NACK is a mistake, as with ActiveMQ.
pub(super) fn browser_acknowledged(verb: Verb) -> Result<(), Fault> {
    match verb {
        Verb::Nack => Err(Fault::violation("Invalid acknowledgement", "A message that a browser showed has no NACK")),
        _ => Ok(()),
    }
}
