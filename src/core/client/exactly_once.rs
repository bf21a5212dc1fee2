//! Publishing what the peer sends again until it knows that it was taken.

use std::sync::Arc;

use crossdock_common::command::{ExactlyOnce, Publish};
use crossdock_common::message::Publication;
use crossdock_common::names::QueueId;
use crossdock_common::{Event, Now, RequestId};

use super::Client;
use crate::broker::followup::split_by_shard;
use crate::definitions::route::Route;
use crate::definitions::shard_of;
use crate::shard::command::{Confirmee, Publishing, ShardCommand};
use crate::shard::publications::{Begun, Publisher};

impl Client {
    /// Asks the session's shard first, at once: what follows in the same batch keeps its place behind this message.
    #[cold]
    pub(super) fn publish_once(&mut self, now: Now, publish: Publish, asked: ExactlyOnce, found: &Route) {
        let own = self.session.as_ref().map(|session| session.queue);
        let (Some(session), Some(confirm)) = (own, publish.confirm) else {
            return debug_assert!(false, "exactly once needs a session and a confirm");
        };
        let (outbox, lane) = (self.outbox.clone(), publish.lane);
        let publisher = Publisher { outbox, lane, confirm };
        match self.broker.begin_publication(session, self.outbox.connection, asked, publisher) {
            Some(Begun::New { publication, landed }) => self.send_once(now, publish, publication, found, &landed),
            Some(Begun::Received) => self.outbox.confirm(lane, confirm..confirm + 1),
            // It is confirmed later, or the session is another connection's.
            Some(Begun::UnderWay) | None => {}
        }
    }

    fn send_once(&mut self, now: Now, publish: Publish, publication: Publication, found: &Route, landed: &[QueueId]) {
        let Publish { lane, confirm, mut message, mandatory, retain, .. } = publish;
        if Arc::get_mut(&mut message).is_none() {
            message = Arc::new(message.to_mutable());
        }
        if let Some(message) = Arc::get_mut(&mut message) {
            message.rare_mut().publication = Some(publication);
        }
        if found.targets.is_empty() {
            self.outbox.push(Event::Unroutable { lane, confirm, mandatory, message: message.clone() });
        }
        let mut split = split_by_shard(self.broker.shard_count(), found);
        split.iter_mut().for_each(|(_, targets)| targets.retain(|target| !landed.contains(&target.queue)));
        split.retain(|(_, targets)| !targets.is_empty());
        let is_new = message.durable && found.defined > self.broker.definitions_are_durable_to();
        let Publication { session, id, number, .. } = publication;
        let shares = split.len() + usize::from(retain) + usize::from(is_new);
        let Some(publishing) = Publishing::new((session, id, number), shares) else {
            return self.push(session, ShardCommand::Publication { session, id, number, accepted: true });
        };
        let confirm = || Some(Confirmee::Publication(publishing.clone()));
        if retain {
            self.retain(message.clone(), confirm());
        }
        if is_new {
            self.broker.confirm_when_durable(now, found.defined, Confirmee::Publication(publishing.clone()));
        }
        for (index, targets) in split {
            self.push_to(index, ShardCommand::Enqueue { message: message.clone(), targets, confirm: confirm() });
        }
    }

    pub(super) fn release_publication(&mut self, request: RequestId, id: u16) {
        let Some(session) = self.session.as_ref().map(|session| session.queue) else { return };
        let request = (request, self.outbox.clone());
        self.push_to(shard_of(session), ShardCommand::ReleasePublication { session, id, request });
    }
}
