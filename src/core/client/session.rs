//! The session that a connection has.

use bytes::Bytes;
use crossdock_common::command::OpenSession;
use crossdock_common::event::Reply;
use crossdock_common::names::QueueId;
use crossdock_common::{ConsumerId, Name, Now, RequestId};

use super::Client;
use super::reading::Reading;
use crate::shard::command::{NewConsumer, ShardCommand};

/// What a connection remembers of its session.
pub(super) struct OwnSession {
    name: Name,
    pub queue: QueueId,
    pub queue_name: Name,
    pub consumer: ConsumerId,
    pub reading: Reading,
    window: u32,
}

impl Client {
    pub(super) fn open_session(&mut self, now: Now, request: RequestId, open: OpenSession) {
        self.flush(now);
        let (name, consumer, window) = (open.name.clone(), open.consumer, open.window);
        let reading = Reading::new(open.exchange.clone());
        let broker = self.broker.clone();
        let (result, wait, queue) = broker.open_session(now, &self.who, &self.outbox, open);
        self.who.client_id = Some(name.clone());
        if let (Ok(Reply::Session(info)), Some(queue)) = (&result, queue) {
            let queue_name = info.queue.clone();
            self.session = Some(Box::new(OwnSession { name, queue, queue_name, consumer, reading, window }));
        }
        self.answer_after(request, result, wait);
    }

    /// The peer is about to hear that it has the session: from now on it gets the session's messages.
    pub(super) fn start_session(&mut self, now: Now) {
        let Some(session) = &self.session else { return };
        let queue = session.queue;
        let consumer = NewConsumer {
            outbox: self.outbox.clone(),
            id: session.consumer,
            presettled: false,
            exclusive: false,
            priority: 0,
            window: session.window,
            lane_window: None,
            selector: None,
            reading: None,
        };
        self.push(queue, ShardCommand::Subscribe { queue, consumer: Box::new(consumer), request: None });
        self.flush(now);
    }

    pub(super) fn set_session_expiry(&mut self, expiry_ms: Option<u64>) {
        if let Some(session) = &self.session {
            self.broker.set_session_expiry(&self.who, &session.name, &self.outbox, expiry_ms);
        }
    }

    pub(super) fn discard_will(&mut self) {
        if let Some(session) = &self.session {
            self.broker.discard_will(&self.who, &session.name, &self.outbox);
        }
    }

    pub(super) fn set_session_state(&mut self, request: Option<RequestId>, key: Bytes, value: Option<Bytes>) {
        let Some(queue) = self.session.as_ref().map(|session| session.queue) else { return };
        // Copies: the machine's may be slices of a large buffer.
        let (key, value) = (Bytes::copy_from_slice(&key), value.map(|value| Bytes::copy_from_slice(&value)));
        let request = request.map(|request| (request, self.outbox.clone()));
        self.push(queue, ShardCommand::SessionState { queue, key, value, request });
    }

    pub(super) fn close_session(&mut self, now: Now) {
        if let Some(session) = self.session.take() {
            self.broker.detach_session(now, &self.who, &session.name, &self.outbox);
        }
    }
}
