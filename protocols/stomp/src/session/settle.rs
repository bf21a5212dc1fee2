//! ACK and NACK: which deliveries a client still holds, and what becomes of them.

use std::collections::{HashMap, VecDeque};

use crossdock_common::command::Outcome;
use crossdock_common::names::DeliveryId;
use crossdock_common::{Command, Output, Text};

use super::Session;
use super::requests::{Purpose, ReceiptId};
use super::subscriptions::{AckMode, Subscription, Tag};
use super::transactions::Action;
use crate::error::Fault;
use crate::frame::{Frame, Headers, Verb, Version};

/// Between the parts of a message id: consumer tag, session, number.
const SEPARATOR: &str = "@@";

/// What an ACK or NACK speaks of: the number of a delivery and the subscription it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    tag: Tag,
    number: u64,
}

struct Entry {
    number: u64,
    delivery: DeliveryId,
    cumulative: bool,
}

/// Deliveries that the client has not settled, oldest first, by subscription. They outlive it.
#[derive(Default)]
pub(super) struct Unsettled {
    last: u64,
    by_tag: HashMap<Tag, VecDeque<Entry>>,
}

impl Unsettled {
    /// The number of a new delivery, which is kept if it is to be settled.
    pub(super) fn add(&mut self, subscription: &Subscription, delivery: DeliveryId) -> u64 {
        self.last += 1;
        if subscription.mode != AckMode::Auto {
            let cumulative = subscription.mode == AckMode::Client;
            let entry = Entry { number: self.last, delivery, cumulative };
            self.by_tag.entry(subscription.tag.clone()).or_default().push_back(entry);
        }
        self.last
    }

    pub(super) fn contains(&self, token: &Token) -> bool {
        self.find(token).is_some()
    }

    /// Takes the deliveries that the token means; none if it is unknown.
    pub(super) fn take(&mut self, token: &Token) -> Vec<DeliveryId> {
        let Some(index) = self.find(token) else { return Vec::new() };
        let Some(entries) = self.by_tag.get_mut(&token.tag) else { return Vec::new() };
        let taken = match entries.get(index) {
            Some(entry) if entry.cumulative => entries.drain(..=index).map(|entry| entry.delivery).collect(),
            _ => entries.remove(index).map(|entry| entry.delivery).into_iter().collect(),
        };
        if entries.is_empty() {
            self.by_tag.remove(&token.tag);
        }
        taken
    }

    fn find(&self, token: &Token) -> Option<usize> {
        self.by_tag.get(&token.tag)?.binary_search_by_key(&token.number, |entry| entry.number).ok()
    }
}

impl Session {
    pub(super) fn message_id(&self, tag: &Tag, number: u64) -> String {
        format!("{}{SEPARATOR}{}{SEPARATOR}{number}", tag.0, self.id)
    }

    pub(super) fn acknowledge(
        &mut self,
        frame: &Frame,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let token = self.token(frame)?;
        if !self.unsettled.contains(&token) {
            return Err(Fault::violation("Message not found", format!("unknown delivery tag {}", token.number)));
        }
        let outcome = outcome(frame);
        if let Some(name) = frame.headers.get("transaction") {
            return self.transactions.add(&name, Action::Settle { token, outcome }, &self.limits);
        }
        self.settle(&token, outcome, receipt, output);
        Ok(())
    }

    /// Settles what the token means now; inside a transaction an earlier frame may have settled it already.
    pub(super) fn settle(&mut self, token: &Token, outcome: Outcome, receipt: Option<ReceiptId>, output: &mut Output) {
        let taken = self.unsettled.take(token);
        // One command for each queue: an id that is used again may have been another queue's before.
        for deliveries in taken.chunk_by(|one, next| one.queue == next.queue) {
            let request = receipt.map(|_| self.requests.ask(Purpose::Plain, receipt));
            output.commands.push(Command::Settle { deliveries: deliveries.to_vec(), outcome, request });
        }
    }

    fn token(&self, frame: &Frame) -> Result<Token, Fault> {
        let header = if self.version == Version::V1_2 { "id" } else { "message-id" };
        let Some(text) = frame.headers.get(header) else {
            return Err(Fault::missing("Missing header", frame.verb.name(), header));
        };
        self.parse_token(&text).ok_or_else(|| {
            let detail = format!("{} must include a valid '{header}' header", frame.verb.name());
            Fault::violation("Invalid header", detail)
        })
    }

    /// Only tokens of this connection are valid: others could have come in a message.
    fn parse_token(&self, text: &str) -> Option<Token> {
        let (rest, number) = text.rsplit_once(SEPARATOR)?;
        let (tag, session) = rest.rsplit_once(SEPARATOR)?;
        (session == &*self.id).then_some(())?;
        Some(Token { tag: Tag(Text::from(tag)), number: number.parse().ok()? })
    }
}

fn outcome(frame: &Frame) -> Outcome {
    let requeue = |headers: &Headers| headers.get("requeue").is_none_or(|value| value != "false");
    match frame.verb {
        Verb::Nack if requeue(&frame.headers) => Outcome::Released,
        Verb::Nack => Outcome::Rejected,
        _ => Outcome::Accepted,
    }
}
