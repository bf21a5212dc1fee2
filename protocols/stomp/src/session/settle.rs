//! ACK and NACK: which deliveries a client still holds, and what becomes of them.

use std::collections::{HashMap, VecDeque};

use crossdock_common::command::Outcome;
use crossdock_common::names::DeliveryId;
use crossdock_common::{Command, Output, Text};

use super::Session;
use super::browse::browser_acknowledged;
use super::requests::{Purpose, ReceiptId};
use super::subscriptions::{AckMode, Tag};
use super::transactions::Action;
use crate::error::{Fault, PRECONDITION, in_code};
use crate::frame::{Frame, Verb, Version};
use crate::options::Nack;

/// Between the parts of a message id: consumer tag, session, number.
pub(super) const SEPARATOR: &str = "@@";
/// Shortest and longest delay of a message that was refused very often, in milliseconds.
const DELAYS_MS: (u64, u64) = (1_000, 60_000);

/// What an ACK or NACK speaks of: the number of a delivery and the subscription it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    tag: Tag,
    number: u64,
}

/// What a client says of deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They are done.
    Accept,
    /// Somebody shall have them again.
    GiveBack,
    /// Nobody shall.
    Refuse,
}

struct Entry {
    number: u64,
    delivery: DeliveryId,
    /// How often it was handed out before.
    redeliveries: u32,
    cumulative: bool,
}

impl Entry {
    fn outcome(&self, verdict: Verdict, redeliveries_at_once: u32) -> Outcome {
        match verdict {
            Verdict::Accept => Outcome::Accepted,
            Verdict::Refuse => Outcome::Rejected,
            Verdict::GiveBack if self.redeliveries < redeliveries_at_once => Outcome::Released,
            Verdict::GiveBack => {
                let doublings = (self.redeliveries - redeliveries_at_once).min(16);
                Outcome::Modified { delay_ms: (DELAYS_MS.0 << doublings).min(DELAYS_MS.1) }
            }
        }
    }
}

/// Deliveries that the client has not settled, oldest first, by subscription. They outlive it.
#[derive(Default)]
pub(super) struct Unsettled {
    last: u64,
    by_tag: HashMap<Tag, VecDeque<Entry>>,
}

impl Unsettled {
    /// Numbers for new deliveries of a subscription, counting from the one that is returned; what is to be settled is kept.
    pub(super) fn add(
        &mut self,
        tag: &Tag,
        mode: AckMode,
        deliveries: impl ExactSizeIterator<Item = (DeliveryId, u32)>,
    ) -> u64 {
        let first = self.last + 1;
        self.last += deliveries.len() as u64;
        if mode == AckMode::Auto {
            return first;
        }
        if !self.by_tag.contains_key(tag) {
            self.by_tag.insert(tag.clone(), VecDeque::new());
        }
        let Some(entries) = self.by_tag.get_mut(tag) else { return first };
        let cumulative = mode == AckMode::Client;
        entries.extend((first..).zip(deliveries).map(|(number, (delivery, redeliveries))| Entry {
            number,
            delivery,
            redeliveries,
            cumulative,
        }));
        first
    }

    pub(super) fn contains(&self, token: &Token) -> bool {
        self.find(token).is_some()
    }

    /// Takes the deliveries that the token means; none if it is unknown.
    fn take(&mut self, token: &Token) -> Vec<Entry> {
        let Some(index) = self.find(token) else { return Vec::new() };
        let Some(entries) = self.by_tag.get_mut(&token.tag) else { return Vec::new() };
        match entries.get(index) {
            Some(entry) if entry.cumulative => entries.drain(..=index).collect(),
            _ => entries.remove(index).into_iter().collect(),
        }
    }

    /// A subscription is over: its deliveries are forgotten with the last of them.
    pub(super) fn forget_if_settled(&mut self, tag: &Tag) {
        if self.by_tag.get(tag).is_some_and(VecDeque::is_empty) {
            self.by_tag.remove(tag);
        }
    }

    fn find(&self, token: &Token) -> Option<usize> {
        self.by_tag.get(&token.tag)?.binary_search_by_key(&token.number, |entry| entry.number).ok()
    }
}

impl Session {
    pub(super) fn acknowledge(
        &mut self,
        frame: &Frame,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let token = self.token(frame)?;
        if self.subscriptions.is_browser(&token.tag) {
            return browser_acknowledged(frame.verb);
        }
        if !self.unsettled.contains(&token) {
            let detail = in_code(PRECONDITION, format!("unknown delivery tag {}", token.number));
            return Err(Fault::violation(PRECONDITION, detail));
        }
        let verdict = self.verdict(frame);
        if let Some(name) = frame.headers.get("transaction") {
            let action = Action::Settle { token, verdict };
            return self.transactions.add(&name, action, &self.options.limits);
        }
        self.settle(&token, verdict, receipt, output);
        Ok(())
    }

    /// Settles what the token means now; inside a transaction an earlier frame may have settled it already.
    pub(super) fn settle(&mut self, token: &Token, verdict: Verdict, receipt: Option<ReceiptId>, output: &mut Output) {
        let taken = self.unsettled.take(token);
        if !self.subscriptions.contains(&token.tag) {
            self.unsettled.forget_if_settled(&token.tag);
        }
        let limit = self.options.redeliveries_at_once;
        let settled: Vec<_> = taken.iter().map(|entry| (entry.delivery, entry.outcome(verdict, limit))).collect();
        // One command for each queue: an id that is used again may have been another queue's before.
        let together = |(one, how): &(DeliveryId, Outcome), (next, next_how): &(DeliveryId, Outcome)| {
            one.queue == next.queue && how == next_how
        };
        for part in settled.chunk_by(together) {
            let Some((_, outcome)) = part.first().copied() else { continue };
            let request = receipt.map(|_| self.requests.ask(Purpose::Settle, receipt));
            let deliveries = part.iter().map(|(delivery, _)| *delivery).collect();
            output.commands.push(Command::Settle { deliveries, outcome, request });
        }
    }

    fn token(&self, frame: &Frame) -> Result<Token, Fault> {
        let header = if self.version() == Version::V1_2 { "id" } else { "message-id" };
        let Some(text) = frame.headers.get(header) else {
            let detail = format!("\"{}\" must include the \"{header}\" header", frame.verb.name());
            return Err(Fault::violation("Missing header", detail));
        };
        self.parse_token(&text).ok_or_else(|| {
            let detail = format!("\"{}\" must include a valid \"{header}\" header", frame.verb.name());
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

    fn verdict(&self, frame: &Frame) -> Verdict {
        if frame.verb != Verb::Nack {
            return Verdict::Accept;
        }
        match (frame.headers.get("requeue").as_deref(), self.options.nack) {
            (Some("false"), _) | (None, Nack::DeadLetter) => Verdict::Refuse,
            _ => Verdict::GiveBack,
        }
    }
}
