//! Open requests, confirms and receipts: a RECEIPT goes out when everything its frame asked of the core is done.

use std::collections::{HashMap, VecDeque};

use bytes::BufMut;
use crossdock_common::event::RejectReason;
use crossdock_common::{ConsumerId, Output, RequestId, Text};

use super::browse::Browsing;
use super::durable::Resumed;
use super::plan::Plan;
use super::send::PendingSend;
use crate::error::Fault;
use crate::frame::{Line, Version};

/// The login used the first few numbers.
const FIRST_REQUEST: u64 = 16;

/// What to do when the answer comes.
pub(super) enum Purpose {
    /// Nothing but the receipt.
    Plain,
    /// The queue may be gone already.
    DeleteQueue,
    /// The consumer gets nothing more.
    Unsubscribe(ConsumerId),
    /// The queues of which a pattern speaks.
    Follow(ConsumerId),
    /// The consumer of one of them.
    Found(ConsumerId),
    /// Deliveries are settled; their queue may be gone, and they with it.
    Settle,
    /// Some messages to look at.
    Browse(Box<Browsing>),
    /// What a durable subscription was until now.
    Resume(Box<Resumed>),
    /// The queue has got its name: bind it and consume.
    SubscribeTo(Box<Plan>),
    /// The reply queue has got its name: send.
    ReplyTo(Box<PendingSend>),
}

impl Purpose {
    /// Frames wait for the answer.
    pub(super) fn is_waited_for(&self) -> bool {
        matches!(self, Self::SubscribeTo(_) | Self::ReplyTo(_) | Self::Resume(_))
    }

    /// It does not matter if it is not there.
    pub(super) fn may_find_nothing(&self) -> bool {
        matches!(self, Self::Unsubscribe(_) | Self::DeleteQueue | Self::Resume(_))
    }
}

/// An open request.
pub(super) struct Open {
    pub(super) purpose: Purpose,
    pub(super) receipt: Option<ReceiptId>,
}

/// One frame's receipt, for as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ReceiptId(u64);

struct Receipt {
    text: Text,
    /// What must be done before it goes out: the frame itself, its requests, its confirms.
    steps: usize,
}

struct Confirm {
    receipt: Waiting,
    must_be_routed: bool,
}

/// What waits for a confirm.
enum Waiting {
    /// A receipt with other steps.
    Step(ReceiptId),
    /// The whole receipt of a SEND that asked for nothing else.
    Whole(Text),
    /// Nobody: only that the message was refused would be told.
    Nobody,
}

/// Everything that the core has still to answer.
pub(super) struct Requests {
    version: Version,
    next: u64,
    requests: HashMap<RequestId, Open>,
    receipts: HashMap<ReceiptId, Receipt>,
    /// In the order of their numbers, which are without gaps; those that have come are `None`.
    confirms: VecDeque<Option<Confirm>>,
    /// The number of the first of them.
    first_confirm: u64,
    confirms_open: usize,
}

impl Requests {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            next: FIRST_REQUEST,
            requests: HashMap::new(),
            receipts: HashMap::new(),
            confirms: VecDeque::new(),
            first_confirm: 1,
            confirms_open: 0,
        }
    }

    /// How many answers are open.
    pub(super) fn open(&self) -> usize {
        self.requests.len() + self.confirms_open
    }

    /// Nothing is open, but perhaps this receipt.
    pub(super) fn is_quiet(&self, but: Option<ReceiptId>) -> bool {
        self.open() == 0 && self.receipts.keys().all(|id| Some(*id) == but)
    }

    /// A frame asks for a receipt; its own step is open until [`step_done`](Self::step_done).
    pub(super) fn open_receipt(&mut self, text: Text) -> ReceiptId {
        let id = ReceiptId(self.number());
        self.receipts.insert(id, Receipt { text, steps: 1 });
        id
    }

    /// One step of a receipt is done; the last one sends it.
    pub(super) fn step_done(&mut self, receipt: Option<ReceiptId>, output: &mut Output) {
        let Some(id) = receipt else { return };
        let Some(open) = self.receipts.get_mut(&id) else { return };
        open.steps = open.steps.saturating_sub(1);
        if open.steps > 0 {
            return;
        }
        if let Some(done) = self.receipts.remove(&id) {
            self.write_receipt(&done.text, output);
        }
    }

    /// A new request, a step of that receipt.
    pub(super) fn ask(&mut self, purpose: Purpose, receipt: Option<ReceiptId>) -> RequestId {
        let request = RequestId(self.number());
        self.requests.insert(request, Open { purpose, receipt });
        self.add_step(receipt);
        request
    }

    /// The request that was answered.
    pub(super) fn take(&mut self, request: RequestId) -> Option<Open> {
        self.requests.remove(&request)
    }

    /// A publish is confirmed only if a receipt waits for it.
    pub(super) fn confirm(&mut self, receipt: Option<ReceiptId>, must_be_routed: bool) -> Option<u64> {
        let receipt = receipt?;
        self.add_step(Some(receipt));
        Some(self.add_confirm(Confirm { receipt: Waiting::Step(receipt), must_be_routed }))
    }

    /// The same for a SEND whose receipt waits for nothing else.
    pub(super) fn confirm_whole(&mut self, receipt: Text, must_be_routed: bool) -> u64 {
        self.add_confirm(Confirm { receipt: Waiting::Whole(receipt), must_be_routed })
    }

    /// The same for a message whose publisher shall hear if it is refused, and nothing else.
    pub(super) fn confirm_silently(&mut self, must_be_routed: bool) -> u64 {
        self.add_confirm(Confirm { receipt: Waiting::Nobody, must_be_routed })
    }

    fn add_confirm(&mut self, confirm: Confirm) -> u64 {
        self.confirms.push_back(Some(confirm));
        self.confirms_open += 1;
        self.first_confirm + self.confirms.len() as u64 - 1
    }

    fn take_confirm(&mut self, number: u64) -> Option<Confirm> {
        let index = usize::try_from(number.checked_sub(self.first_confirm)?).ok()?;
        let taken = self.confirms.get_mut(index)?.take()?;
        self.confirms_open -= 1;
        while self.confirms.pop_front_if(|confirm| confirm.is_none()).is_some() {
            self.first_confirm += 1;
        }
        Some(taken)
    }

    fn find_confirm(&self, number: Option<u64>) -> Option<&Confirm> {
        let index = usize::try_from(number?.checked_sub(self.first_confirm)?).ok()?;
        self.confirms.get(index)?.as_ref()
    }

    pub(super) fn confirmed(&mut self, confirm: u64, output: &mut Output) {
        match self.take_confirm(confirm).map(|confirm| confirm.receipt) {
            Some(Waiting::Step(receipt)) => self.step_done(Some(receipt), output),
            Some(Waiting::Whole(text)) => self.write_receipt(&text, output),
            Some(Waiting::Nobody) | None => {}
        }
    }

    fn write_receipt(&self, text: &str, output: &mut Output) {
        let buffer = output.bytes.buffer();
        buffer.put_slice(b"RECEIPT\n");
        Line::plain(self.version, "receipt-id", text).encode(buffer);
        buffer.put_slice(b"\n\0");
    }

    pub(super) fn rejected(&mut self, confirm: u64, reason: RejectReason) -> Fault {
        let detail = match reason {
            RejectReason::QueueFull => "The queue is full and refuses the message",
            RejectReason::Journal => "The broker cannot store the message now",
        };
        Fault::refused("Message refused", detail).with_receipt(self.receipt_of(Some(confirm)))
    }

    /// Whether the message of that confirm was for a queue.
    pub(super) fn must_be_routed(&self, confirm: Option<u64>) -> bool {
        self.find_confirm(confirm).is_some_and(|confirm| confirm.must_be_routed)
    }

    pub(super) fn receipt_of(&self, confirm: Option<u64>) -> Option<Text> {
        match &self.find_confirm(confirm)?.receipt {
            Waiting::Step(receipt) => self.receipt_text(Some(*receipt)),
            Waiting::Whole(text) => Some(text.clone()),
            Waiting::Nobody => None,
        }
    }

    pub(super) fn receipt_text(&self, receipt: Option<ReceiptId>) -> Option<Text> {
        self.receipts.get(&receipt?).map(|receipt| receipt.text.clone())
    }

    fn add_step(&mut self, receipt: Option<ReceiptId>) {
        if let Some(open) = receipt.and_then(|receipt| self.receipts.get_mut(&receipt)) {
            open.steps += 1;
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
