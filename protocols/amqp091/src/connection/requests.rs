//! What was asked of the core and not answered yet. The core answers in order, so this is a queue; replies that need no
//! core wait in it behind those of their channel that do.

use std::collections::VecDeque;

use bytes::Bytes;
use crossdock_common::{ConsumerId, RequestId, Text};

use crate::frame::MethodId;

/// The machine decodes nothing more while so many requests are open: a client that pipelines pays with its own time.
pub(crate) const REQUESTS_MAX: usize = 1024;

/// What becomes of the answer.
#[derive(Debug)]
pub(crate) enum Pending {
    /// No answer is awaited: these bytes wait for their turn.
    Local(Bytes),
    /// A method without arguments.
    Empty(MethodId),
    /// The client wants no answer; errors close the channel all the same.
    Silent,
    /// Nobody cares any more.
    Ignored,
    /// `queue.declare-ok`
    DeclareQueue { no_wait: bool },
    /// `queue.purge-ok`
    Purge,
    /// `queue.delete-ok`
    DeleteQueue,
    /// `basic.consume-ok`
    Consume { consumer: ConsumerId, tag: Text, no_wait: bool },
    /// `basic.cancel-ok`
    Cancel { consumer: ConsumerId, tag: Text, no_wait: bool },
    /// `basic.get-ok` or `basic.get-empty`
    Get { no_ack: bool },
    /// A part of `tx.commit`.
    Commit,
    /// The channel's deliveries are back in their queues: nothing of it is under way any more.
    Released,
}

/// One open request.
#[derive(Debug)]
pub(crate) struct Open {
    pub request: RequestId,
    pub channel: u16,
    /// Who is to blame if it is refused.
    pub method: MethodId,
    pub pending: Pending,
}

/// All open requests of a connection.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    last: u64,
    open: VecDeque<Open>,
}

impl Requests {
    /// A number for a request that is tracked elsewhere.
    pub(crate) fn number(&mut self) -> RequestId {
        self.last += 1;
        RequestId(self.last)
    }

    /// Begins a request.
    pub(crate) fn begin(&mut self, channel: u16, method: MethodId, pending: Pending) -> RequestId {
        let request = self.number();
        self.open.push_back(Open { request, channel, method, pending });
        request
    }

    /// Lets a reply wait for the requests before it.
    pub(crate) fn wait(&mut self, channel: u16, bytes: Bytes) {
        let (request, method, pending) = (RequestId(0), MethodId::NONE, Pending::Local(bytes));
        self.open.push_back(Open { request, channel, method, pending });
    }

    /// Ends a request, if it is one of ours.
    pub(crate) fn finish(&mut self, request: RequestId) -> Option<Open> {
        let is_wanted = |open: &Open| open.request == request && !matches!(open.pending, Pending::Local(_));
        // The core answers in order: it is the first.
        let at = self.open.iter().position(is_wanted)?;
        self.open.remove(at)
    }

    /// The next reply that waited only for those before it.
    pub(crate) fn next_local(&mut self) -> Option<(u16, Bytes)> {
        match self.open.front()?.pending {
            Pending::Local(ref bytes) => {
                let next = (self.open.front()?.channel, bytes.clone());
                self.open.pop_front();
                Some(next)
            }
            _ => None,
        }
    }

    /// Whether decoding has to wait.
    pub(crate) fn is_full(&self) -> bool {
        self.open.len() >= REQUESTS_MAX
    }
}
