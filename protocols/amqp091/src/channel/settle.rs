//! What the client says of its deliveries: ack, nack, reject, recover; and what transactions make of it.

use crossdock_common::Command;
use crossdock_common::command::Outcome;

use super::unsettled::Entry;
use super::{Channel, Mode};
use crate::connection::requests::Pending;
use crate::connection::shared::Context;
use crate::error::Fault;
use crate::frame::basic::outgoing::{Ack, Nack};
use crate::frame::basic::{PUBLISH, RECOVER_OK};
use crate::frame::method::MethodId;
use crate::frame::{put_empty, put_method, tx};

impl Channel {
    /// One delivery, or all up to a tag; tag 0 with `multiple` is all.
    pub(super) fn settle(
        &mut self,
        cx: &mut Context<'_>,
        tag: u64,
        multiple: bool,
        outcome: Outcome,
    ) -> Result<(), Fault> {
        let unknown = || Fault::precondition(format!("unknown delivery tag {tag}"));
        if !multiple {
            let entry = self.unsettled.take(tag).ok_or_else(unknown)?;
            return self.settle_entry(cx, entry, outcome);
        }
        let entries = match tag {
            0 => self.unsettled.take_all(),
            _ => self.unsettled.take_through(tag).ok_or_else(unknown)?,
        };
        entries.into_iter().try_for_each(|entry| self.settle_entry(cx, entry, outcome))
    }

    fn settle_entry(&mut self, cx: &mut Context<'_>, entry: Entry, outcome: Outcome) -> Result<(), Fault> {
        if let Mode::Transaction(transaction) = &mut self.mode {
            return transaction.settle(entry, outcome);
        }
        cx.shared.unsettled = cx.shared.unsettled.saturating_sub(1);
        // A run of the same outcome is one command, so a read full of acks allocates once.
        if let Some(Command::Settle { deliveries, outcome: last, request: None }) = cx.output.commands.last_mut()
            && *last == outcome
        {
            deliveries.push(entry.delivery);
            return Ok(());
        }
        cx.command(Command::Settle { deliveries: vec![entry.delivery], outcome, request: None });
        Ok(())
    }

    pub(super) fn recover(
        &mut self,
        cx: &mut Context<'_>,
        id: MethodId,
        requeue: bool,
        answered: bool,
    ) -> Result<(), Fault> {
        if !requeue {
            return Err(Fault::not_implemented("requeue=false"));
        }
        let pending = if answered { Pending::Empty(RECOVER_OK) } else { Pending::Silent };
        self.requeue(cx, id, pending);
        Ok(())
    }

    /// Everything that is not settled goes back, also what a transaction has only gathered.
    pub(super) fn release_unsettled(&mut self, cx: &mut Context<'_>, id: MethodId, pending: Pending) {
        if let Mode::Transaction(transaction) = &mut self.mode {
            self.unsettled.restore(transaction.rollback());
        }
        self.requeue(cx, id, pending);
    }

    fn requeue(&mut self, cx: &mut Context<'_>, id: MethodId, pending: Pending) {
        let deliveries: Vec<_> = self.unsettled.take_all().iter().map(|entry| entry.delivery).collect();
        cx.shared.unsettled = cx.shared.unsettled.saturating_sub(deliveries.len());
        self.request(cx, id, pending, |request| Command::Settle {
            deliveries,
            outcome: Outcome::Released,
            request: Some(request),
        });
    }

    pub(super) fn commit(&mut self, cx: &mut Context<'_>) {
        let Mode::Transaction(transaction) = &mut self.mode else { return };
        let Some(gathered) = transaction.commit() else {
            return self.answer(cx, |buffer, number| put_empty(buffer, number, tx::COMMIT_OK));
        };
        cx.output.commands.extend(gathered.publishes.into_iter().map(Command::Publish));
        for (deliveries, outcome) in gathered.settlements {
            cx.shared.unsettled = cx.shared.unsettled.saturating_sub(deliveries.len());
            self.request(cx, tx::COMMIT, Pending::Commit, |request| Command::Settle {
                deliveries,
                outcome,
                request: Some(request),
            });
        }
    }

    pub(super) fn rollback(&mut self, cx: &mut Context<'_>) {
        if let Mode::Transaction(transaction) = &mut self.mode {
            self.unsettled.restore(transaction.rollback());
        }
        self.answer(cx, |buffer, number| put_empty(buffer, number, tx::ROLLBACK_OK));
    }

    pub(super) fn commit_settled(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        match &mut self.mode {
            Mode::Transaction(transaction) => transaction.settled().map(|done| self.commit_done(cx, done)),
            _ => Ok(()),
        }
    }

    /// Published messages are where they shall be.
    pub(crate) fn confirmed(&mut self, cx: &mut Context<'_>, numbers: &[u64]) -> Result<(), Fault> {
        let number = self.number;
        match &mut self.mode {
            Mode::Plain => Ok(()),
            Mode::Confirm(confirms) => {
                let buffer = cx.output.bytes.buffer();
                confirms.confirmed(numbers, |ack: Ack| put_method(buffer, number, &ack));
                Ok(())
            }
            Mode::Transaction(transaction) => {
                let done = transaction.confirmed(numbers).map_err(|fault| fault.at(tx::COMMIT))?;
                self.commit_done(cx, done);
                Ok(())
            }
        }
    }

    /// A queue did not take a published message.
    pub(crate) fn rejected(&mut self, cx: &mut Context<'_>, confirm: u64) -> Result<(), Fault> {
        match &mut self.mode {
            Mode::Plain => Ok(()),
            Mode::Confirm(confirms) => {
                if let Some(delivery_tag) = confirms.rejected(confirm) {
                    put_method(cx.output.bytes.buffer(), self.number, &Nack { delivery_tag });
                }
                Ok(())
            }
            Mode::Transaction(transaction) => {
                let done = transaction.rejected(confirm).map_err(|fault| fault.at(tx::COMMIT))?;
                self.commit_done(cx, done);
                Ok(())
            }
        }
    }

    /// The method to blame for a publish that was refused; `None` if it was that of a channel closed before this one.
    pub(crate) fn blamed_method(&self, confirm: Option<u64>) -> Option<MethodId> {
        match (&self.mode, confirm) {
            (Mode::Transaction(transaction), Some(number)) => (number > transaction.base()).then_some(tx::COMMIT),
            (Mode::Confirm(confirms), Some(number)) => (number > confirms.base()).then_some(PUBLISH),
            (Mode::Plain, Some(_)) => None,
            (_, None) => Some(PUBLISH),
        }
    }

    fn commit_done(&mut self, cx: &mut Context<'_>, done: bool) {
        if done {
            self.answer(cx, |buffer, number| put_empty(buffer, number, tx::COMMIT_OK));
        }
    }
}
