//! BEGIN, COMMIT, ABORT: what belongs to a transaction waits here and goes to the core in one piece.

use std::collections::HashMap;
use std::sync::Arc;

use crossdock_common::{Limits, Message, Output, Text};

use super::Session;
use super::requests::ReceiptId;
use super::settle::{Token, Verdict};
use crate::error::{Fault, quote};
use crate::frame::{Frame, Verb};

/// Most transactions of one connection at a time.
const TRANSACTIONS_MAX: usize = 16;

/// What waits.
pub(super) enum Action {
    Publish { message: Arc<Message>, to_queue: bool },
    Settle { token: Token, verdict: Verdict },
}

impl Action {
    fn bytes(&self) -> usize {
        match self {
            Self::Publish { message, .. } => message.body.len() + message.properties.len(),
            Self::Settle { .. } => 0,
        }
    }
}

/// The open transactions of a connection, with what they cost together.
#[derive(Default)]
pub(super) struct Transactions {
    open: HashMap<Text, Vec<Action>>,
    actions: usize,
    bytes: usize,
    /// There was a message among them.
    pub(super) has_published: bool,
}

impl Transactions {
    /// Whether it is open.
    pub(super) fn check(&self, name: &str) -> Result<(), Fault> {
        if self.open.contains_key(name) { Ok(()) } else { Err(unknown(name)) }
    }

    /// Adds an action. All transactions together hold `unsettled_max` actions and the bytes of one largest message.
    pub(super) fn add(&mut self, name: &str, action: Action, limits: &Limits) -> Result<(), Fault> {
        let bytes = self.bytes.saturating_add(action.bytes());
        if self.actions >= limits.unsettled_max {
            return Err(too_large("frames", limits.unsettled_max));
        }
        if bytes > limits.message_bytes_max {
            return Err(too_large("bytes", limits.message_bytes_max));
        }
        let actions = self.open.get_mut(name).ok_or_else(|| unknown(name))?;
        self.has_published |= matches!(action, Action::Publish { .. });
        actions.push(action);
        self.actions += 1;
        self.bytes = bytes;
        Ok(())
    }

    fn begin(&mut self, name: Text) -> Result<(), Fault> {
        if self.open.len() >= TRANSACTIONS_MAX {
            let detail = format!("a connection may have {TRANSACTIONS_MAX} transactions at a time");
            return Err(Fault::violation("Too many transactions", detail));
        }
        if self.open.contains_key(&name) {
            let detail = format!("Transaction '{}' has begun already", quote(&name));
            return Err(Fault::violation("Bad transaction", detail));
        }
        self.open.insert(name, Vec::new());
        Ok(())
    }

    fn end(&mut self, name: &str) -> Result<Vec<Action>, Fault> {
        let actions = self.open.remove(name).ok_or_else(|| unknown(name))?;
        self.actions -= actions.len();
        self.bytes -= actions.iter().map(Action::bytes).sum::<usize>();
        Ok(actions)
    }
}

impl Session {
    pub(super) fn transaction(
        &mut self,
        frame: &Frame,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let Some(name) = frame.headers.text("transaction") else {
            return Err(Fault::missing("Missing transaction", frame.verb.name(), "transaction"));
        };
        match frame.verb {
            Verb::Begin => self.transactions.begin(name),
            Verb::Abort => self.transactions.end(&name).map(drop),
            _ => {
                let actions = self.transactions.end(&name)?;
                actions.into_iter().for_each(|action| self.carry_out(action, receipt, output));
                Ok(())
            }
        }
    }

    fn carry_out(&mut self, action: Action, receipt: Option<ReceiptId>, output: &mut Output) {
        match action {
            Action::Publish { message, to_queue } => {
                // Whether all of a transaction has happened is told, also to who asked for no receipt.
                let confirm = self.requests.confirm(receipt, to_queue);
                let confirm = confirm.unwrap_or_else(|| self.requests.confirm_silently(to_queue));
                self.publish_message(message, to_queue, Some(confirm), output);
            }
            Action::Settle { token, verdict } => self.settle(&token, verdict, receipt, output),
        }
    }
}

fn unknown(name: &str) -> Fault {
    Fault::violation("Bad transaction", format!("Invalid transaction identifier: \"{}\"", quote(name)))
}

fn too_large(what: &str, limit: usize) -> Fault {
    Fault::violation("Transaction too large", format!("open transactions hold more than {limit} {what}"))
}
