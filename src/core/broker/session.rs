//! Sessions: opening, taking over, ending, and the wills of those that ended badly.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossdock_common::command::{OpenSession, Publish, Will};
use crossdock_common::definition::QueueSpec;
use crossdock_common::event::{Reply, SessionInfo};
use crossdock_common::names::QueueId;
use crossdock_common::{Event, Name, Now, Refusal};

use super::{Broker, SessionLimits};
use crate::definitions::session::{Attachment, Session};
use crate::definitions::{Definitions, shard_of};
use crate::log::{Sequence, Urgency};
use crate::outbox::Outbox;
use crate::permissions::Who;
use crate::shard::Shard;
use crate::shard::command::{Effects, ShardCommand};
use crate::shard::exactly_once::SessionState;

/// Session queues are called after their session.
pub(super) const QUEUE_PREFIX: &str = "session.";

/// A will that is to be published, and by whom.
type DueWill = (Who, Box<Will>);

impl Broker {
    /// Resumes or makes a session for a connection. The answer may have to wait until the definitions are durable.
    pub(crate) fn open_session(
        self: &Arc<Self>,
        now: Now,
        who: &Who,
        outbox: &Arc<Outbox>,
        open: OpenSession,
    ) -> (Result<Reply, Refusal>, Option<Sequence>, Option<QueueId>) {
        let mut effects = Effects::default();
        let mut wills = Vec::new();
        let mut definitions = self.definitions.write();
        let before = definitions.log.next_sequence();
        let result = self.open_session_locked(now, &mut definitions, who, outbox, open, &mut effects, &mut wills);
        definitions.log.commit(Urgency::Sync);
        let changed = definitions.log.next_sequence() != before;
        // What is there already may be another connection's, and not durable yet.
        let last = definitions.last_sequence();
        let known = result.is_ok() && last > self.definitions_are_durable_to();
        let wait = (changed || known).then_some(last);
        drop(definitions);
        self.follow_up(now, effects);
        self.publish_wills(now, wills);
        match result {
            Ok((info, queue)) => (Ok(Reply::Session(Box::new(info))), wait, Some(queue)),
            Err(refusal) => (Err(refusal), wait, None),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn open_session_locked(
        self: &Arc<Self>,
        now: Now,
        definitions: &mut Definitions,
        who: &Who,
        outbox: &Arc<Outbox>,
        open: OpenSession,
        effects: &mut Effects,
        wills: &mut Vec<DueWill>,
    ) -> Result<(SessionInfo, QueueId), Refusal> {
        let vhost = definitions.vhost(&who.vhost)?;
        let known = vhost.sessions.get(&open.name);
        if known.is_some_and(|known| known.user != who.user) {
            return Err(Refusal::Forbidden(format!("session '{}' belongs to another user", open.name)));
        }
        // Its queue may have been deleted as any other.
        let goes_on = |known: &Session| known.expiry_ms != Some(0) && vhost.queues.contains_key(&known.queue);
        let present = known.is_some_and(|known| !open.clean && goes_on(known));
        self.take_over(now, definitions, &who.vhost, &open.name, present, effects, wills);
        if !present {
            self.end_session(definitions, who, &open.name, effects, wills);
        }
        let queue = match definitions.vhost(&who.vhost)?.sessions.get(&open.name) {
            Some(session) => {
                let queue = session.queue.clone();
                self.bound_queue(now, definitions, &who.vhost, &queue, &open)?;
                queue
            }
            None => self.make_session(now, definitions, who, &open)?,
        };
        let changed = {
            let Some(session) = definitions.vhost_mut(&who.vhost)?.sessions.get_mut(&open.name) else {
                return Err(Refusal::Unavailable("the session is gone".to_owned()));
            };
            session.attached = Some(Attachment::new(outbox.clone(), &self.sessions_connected));
            (session.ends_at, session.will_at, session.will) = (None, None, open.will);
            std::mem::replace(&mut session.expiry_ms, open.expiry_ms) != open.expiry_ms
        };
        definitions.schedule_session(&who.vhost, &open.name);
        if changed || !present {
            definitions.record_session(&who.vhost, &open.name);
        }
        let vhost = definitions.vhost(&who.vhost)?;
        let entry = vhost.queue(&who.vhost, &queue)?;
        let bindings = entry.bindings().iter().map(|binding| (*binding.spec).clone()).collect();
        let attach = |shard: &mut Shard| shard.attach_session(entry.id, outbox.connection);
        let SessionState { state, received } = self.with_shard(shard_of(entry.id), attach).unwrap_or_default();
        Ok((SessionInfo { present, queue, bindings, state, received }, entry.id))
    }

    /// The connection that has the session loses it.
    #[allow(clippy::too_many_arguments)]
    fn take_over(
        self: &Arc<Self>,
        now: Now,
        definitions: &mut Definitions,
        vhost: &Name,
        name: &Name,
        resumed: bool,
        effects: &mut Effects,
        wills: &mut Vec<DueWill>,
    ) {
        let Some(entry) = definitions.vhosts.get_mut(vhost) else { return };
        let Some(session) = entry.sessions.get_mut(name) else { return };
        let Some(old) = session.attached.take() else { return };
        old.push(Event::TakenOver);
        effects.wake(&old);
        let who =
            Who { user: session.user.clone(), vhost: vhost.clone(), client_id: Some(name.clone()), ..Who::default() };
        // A will that may wait is not sent when the session goes on (MQTT 5 section 3.1.3.2.2).
        let due = session.will.take().filter(|will| !resumed || will.delay_ms == 0);
        wills.extend(due.map(|will| (who, will)));
        if let Some(queue) = entry.queues.get(&session.queue) {
            let command = ShardCommand::Detach { queue: queue.id, connection: old.connection, holds: true };
            self.with_shard(shard_of(queue.id), |shard| shard.handle(now, &mut vec![command], effects));
        }
    }

    /// What bounds a session's queue may have changed since the session was made.
    fn bound_queue(
        &self,
        now: Now,
        definitions: &mut Definitions,
        vhost: &Name,
        queue: &Name,
        open: &OpenSession,
    ) -> Result<(), Refusal> {
        let spec = &definitions.vhost(vhost)?.queue(vhost, queue)?.spec;
        if spec.settings != open.queue {
            let attributes = spec.attributes.clone();
            let (id, settings) = definitions.update_queue(vhost, queue, open.queue.clone(), attributes, now.unix)?;
            self.with_shard(shard_of(id), |shard| shard.configure_queue(id, settings));
        }
        Ok(())
    }

    fn make_session(
        &self,
        now: Now,
        definitions: &mut Definitions,
        who: &Who,
        open: &OpenSession,
    ) -> Result<Name, Refusal> {
        let queue = Name::from(format!("{QUEUE_PREFIX}{}", open.name));
        let (durable, settings) = (open.expiry_ms != Some(0), open.queue.clone());
        let spec = QueueSpec { name: queue.clone(), durable, settings, ..QueueSpec::default() };
        if definitions.vhost(&who.vhost)?.queues.contains_key(&queue) {
            return Err(Refusal::Forbidden(format!("queue '{queue}' exists and is not a session's")));
        }
        self.may_have_session(definitions, &who.user)?;
        self.create_queue(definitions, &who.vhost, spec, None, now)?;
        let user = who.user.clone();
        let session = Session::new(open.name.clone(), user, queue.clone(), open.expiry_ms, durable);
        definitions.vhost_mut(&who.vhost)?.sessions.insert(session);
        Ok(queue)
    }

    /// Whether there is room for one more session of the user.
    fn may_have_session(&self, definitions: &Definitions, user: &Name) -> Result<(), Refusal> {
        let SessionLimits { all, per_user } = self.options.sessions_max;
        let of_vhosts = || definitions.vhosts.values().map(|vhost| &vhost.sessions);
        if of_vhosts().map(|sessions| sessions.len()).sum::<usize>() >= all {
            return Err(Refusal::LimitReached(format!("there are {all} sessions, which is the limit")));
        }
        if of_vhosts().map(|sessions| sessions.count_of(user)).sum::<usize>() >= per_user {
            return Err(Refusal::LimitReached(format!("user '{user}' has {per_user} sessions, which is the limit")));
        }
        Ok(())
    }

    /// The session and its queue go; a will that still waits is sent now.
    fn end_session(
        &self,
        definitions: &mut Definitions,
        who: &Who,
        name: &Name,
        effects: &mut Effects,
        wills: &mut Vec<DueWill>,
    ) {
        let Some(session) = definitions.remove_session(&who.vhost, name) else { return };
        wills.extend(session.will.map(|will| (who.clone(), will)));
        if let Ok(Some(queue)) = definitions.remove_queue(&who.vhost, &session.queue) {
            self.with_shard(shard_of(queue), |shard| shard.remove_queue(queue, effects));
        }
        self.remove_orphans(definitions, effects);
    }

    /// The session ends so long after its connection.
    pub(crate) fn set_session_expiry(&self, who: &Who, name: &Name, outbox: &Arc<Outbox>, expiry_ms: Option<u64>) {
        let mut definitions = self.definitions.write();
        if let Some(session) = attached(&mut definitions, who, name, outbox) {
            session.expiry_ms = expiry_ms;
            definitions.record_session(&who.vhost, name);
            definitions.log.commit(Urgency::Sync);
        }
    }

    pub(crate) fn discard_will(&self, who: &Who, name: &Name, outbox: &Arc<Outbox>) {
        if let Some(session) = attached(&mut self.definitions.write(), who, name, outbox) {
            session.will = None;
        }
    }

    /// The connection is gone: the session ends, or its time begins to run; a will is sent or waits.
    pub(crate) fn detach_session(self: &Arc<Self>, now: Now, who: &Who, name: &Name, outbox: &Arc<Outbox>) {
        let mut effects = Effects::default();
        let mut wills = Vec::new();
        let mut definitions = self.definitions.write();
        let Some(session) = attached(&mut definitions, who, name, outbox) else { return };
        session.attached = None;
        session.ends_at = session.expiry_ms.map(|expiry_ms| now.instant.after_ms(expiry_ms));
        match session.will.take() {
            Some(will) if will.delay_ms == 0 => wills.push((who.clone(), will)),
            Some(will) => {
                session.will_at = Some(now.instant.after_ms(will.delay_ms));
                session.will = Some(will);
            }
            None => {}
        }
        if session.expiry_ms == Some(0) {
            self.end_session(&mut definitions, who, name, &mut effects, &mut wills);
            definitions.log.commit(Urgency::Sync);
        }
        let sooner = definitions.schedule_session(&who.vhost, name);
        drop(definitions);
        if sooner {
            (self.options.deadline_changed)(super::Partition::Definitions);
        }
        self.follow_up(now, effects);
        self.publish_wills(now, wills);
    }

    /// Ends the sessions whose time has come and sends the wills that are due.
    pub(super) fn end_sessions(self: &Arc<Self>, now: Now) {
        let mut effects = Effects::default();
        let mut wills = Vec::new();
        let mut definitions = self.definitions.write();
        for (vhost, name) in definitions.due_sessions(now.instant) {
            let session = definitions.vhosts.get_mut(&vhost).and_then(|entry| entry.sessions.get_mut(&name));
            let Some(session) = session else { continue };
            let who = Who { user: session.user.clone(), vhost, client_id: Some(name.clone()), ..Who::default() };
            if session.ends_at.is_some_and(|at| at <= now.instant) {
                self.sessions_expired.fetch_add(1, Ordering::Relaxed);
                self.end_session(&mut definitions, &who, &name, &mut effects, &mut wills);
            } else {
                session.will_at = None;
                wills.extend(session.will.take().map(|will| (who.clone(), will)));
                definitions.schedule_session(&who.vhost, &name);
            }
        }
        definitions.log.commit(Urgency::Sync);
        drop(definitions);
        self.follow_up(now, effects);
        self.publish_wills(now, wills);
    }

    fn publish_wills(self: &Arc<Self>, now: Now, wills: Vec<DueWill>) {
        for (who, will) in wills {
            let Publish { message, retain, .. } = will.publish;
            // It was written when the session began; its time to live begins now.
            let mut message = message.to_mutable();
            message.received_at = now.unix;
            self.publish_for(now, &who, Arc::new(message), retain);
        }
    }
}

/// The session, if this connection has it.
fn attached<'a>(
    definitions: &'a mut Definitions,
    who: &Who,
    name: &Name,
    outbox: &Arc<Outbox>,
) -> Option<&'a mut Session> {
    let session = definitions.vhosts.get_mut(&who.vhost)?.sessions.get_mut(name)?;
    let attached = session.attached.as_ref().is_some_and(|attached| Arc::ptr_eq(attached, outbox));
    attached.then_some(session)
}
