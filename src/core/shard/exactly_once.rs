//! A shard's part in taking messages exactly once: it keeps the publications of the sessions whose queues it has.

use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::command::ExactlyOnce;
use crossdock_common::event::RejectReason;
use crossdock_common::names::{ConnectionId, QueueId};
use crossdock_common::{Event, RequestId};

use super::Shard;
use super::awaiting::Awaiting;
use super::command::Effects;
use super::landings::Landing;
use super::publications::{Begun, Publisher};
use crate::log::{RecordKind, Urgency};
use crate::outbox::Outbox;
use crate::record::put_bytes;

/// What a connection that gets a session has to know of it.
#[derive(Default)]
pub(crate) struct SessionState {
    /// The machine's own, by key.
    pub state: Vec<(Bytes, Bytes)>,
    /// Publications that are held.
    pub received: Vec<u16>,
}

impl Shard {
    /// The session is this connection's from now on: what others still publish for it is not taken.
    pub(crate) fn attach_session(&mut self, id: QueueId, connection: ConnectionId) -> SessionState {
        let Some(queue) = self.queues.get_mut(&id) else { return SessionState::default() };
        queue.session_of = Some(connection);
        let received = queue.publications.as_ref().map(|publications| publications.received());
        let state = queue.special.state.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        SessionState { state, received: received.unwrap_or_default() }
    }

    /// A publication came; `None` if the session is another connection's by now.
    pub(crate) fn begin_publication(
        &mut self,
        session: QueueId,
        connection: ConnectionId,
        asked: ExactlyOnce,
        publisher: Publisher,
    ) -> Option<Begun> {
        let queue = self.queues.get_mut(&session).filter(|queue| queue.session_of == Some(connection))?;
        let publications = queue.publications.get_or_insert_default();
        let (begun, has_changed) = publications.begin(session, asked, publisher);
        if has_changed {
            self.write_publication(session, asked.id);
            self.commit();
        }
        Some(begun)
    }

    /// The publication is in all its queues, or was refused: that is kept, and whoever sent it hears of it then.
    pub(super) fn publication_arrived(
        &mut self,
        session: QueueId,
        (id, number): (u16, u64),
        accepted: bool,
        effects: &mut Effects,
    ) {
        let Some(queue) = self.queues.get_mut(&session) else { return };
        let Some(publications) = queue.publications.as_mut() else { return };
        if publications.arrived(id, number, accepted) {
            self.write_publication(session, id);
            self.wait(Urgency::Sync, Awaiting::Publication { session, id, number }, effects);
        }
    }

    pub(super) fn publication_kept(&mut self, session: QueueId, id: u16, number: u64, effects: &mut Effects) {
        let Some(queue) = self.queues.get_mut(&session) else { return };
        let kept = queue.publications.as_mut().and_then(|publications| publications.kept(id, number));
        let Some((Publisher { outbox, lane, confirm }, accepted)) = kept else { return };
        if accepted {
            outbox.confirm(lane, confirm..confirm + 1);
        } else {
            outbox.push(Event::Rejected { lane, confirm, reason: RejectReason::QueueFull });
        }
        effects.wake(&outbox);
    }

    /// The id is free again once that is durable.
    pub(super) fn release_publication(
        &mut self,
        session: QueueId,
        id: u16,
        (request, outbox): (RequestId, Arc<Outbox>),
        effects: &mut Effects,
    ) {
        let queue = self.queues.get_mut(&session);
        let publications = queue.and_then(|queue| queue.publications.as_mut());
        if let Some(publications) = publications
            && publications.release(id)
        {
            // In one batch: what is neither held nor released was never acknowledged.
            let (key, value) = publications.released();
            self.write_publication(session, id);
            self.write_state(session, &key, Some(&value));
        }
        self.wait(Urgency::Sync, Awaiting::Reply(request, outbox), effects);
    }

    /// At a start: publications of this shard's sessions that had come to queues of any shard.
    pub(crate) fn land_publications<'a>(&mut self, landings: impl Iterator<Item = (QueueId, u64, &'a Landing)>) {
        for (session, number, landing) in landings {
            let Some(queue) = self.queues.get_mut(&session) else { continue };
            if queue.publications.get_or_insert_default().land(number, landing) {
                self.write_publication(session, landing.id);
                self.commit_if_large();
            }
        }
        self.commit();
    }

    fn write_publication(&mut self, session: QueueId, id: u16) {
        let publications = self.queues.get(&session).and_then(|queue| queue.publications.as_ref());
        if let Some((key, value)) = publications.map(|publications| publications.state_of(id)) {
            self.write_state(session, &key, value.as_deref());
        }
    }

    /// Writes a piece of session state, or that it is gone.
    pub(super) fn write_state(&mut self, id: QueueId, key: &[u8], value: Option<&[u8]>) {
        if self.queues.get(&id).is_some_and(|queue| queue.durable) {
            self.scratch.clear();
            put_bytes(&mut self.scratch, key);
            self.scratch.extend_from_slice(&[u8::from(value.is_some())]);
            self.log.push(RecordKind::SessionState, id.0, &[&self.scratch, value.unwrap_or_default()]);
        }
    }
}
