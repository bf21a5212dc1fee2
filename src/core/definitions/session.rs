//! Sessions: what outlives a connection under a name.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossdock_common::command::Will;
use crossdock_common::{Instant, Name, Now};

use super::Definitions;
use crate::outbox::Outbox;

/// A session (MQTT's sense of the word): a queue with its bindings and a little state, kept under a name.
pub(crate) struct Session {
    pub name: Name,
    /// Only the same user may resume or take it over.
    pub user: Name,
    /// Its queue.
    pub queue: Name,
    /// How long it lives without a connection; `None` is for ever.
    pub expiry_ms: Option<u64>,
    /// It survives a restart of the broker, as its queue does: decided when it is made.
    pub durable: bool,
    /// The connection that has it.
    pub attached: Option<Attachment>,
    /// When it ends, if it is not resumed.
    pub ends_at: Option<Instant>,
    /// Published when the connection ends badly.
    pub will: Option<Box<Will>>,
    /// When the will is due, after the connection ended.
    pub will_at: Option<Instant>,
    /// Its place among the [`Deadlines`], or [`NEVER`].
    pub(super) scheduled: Instant,
}

/// Of a session that nothing is due of.
const NEVER: Instant = Instant(u64::MAX);

/// A session's connection; it counts while it is there.
pub(crate) struct Attachment {
    outbox: Arc<Outbox>,
    connected: Arc<AtomicUsize>,
}

impl Attachment {
    /// `connected` is how many there are.
    pub(crate) fn new(outbox: Arc<Outbox>, connected: &Arc<AtomicUsize>) -> Self {
        connected.fetch_add(1, Ordering::Relaxed);
        Self { outbox, connected: connected.clone() }
    }
}

impl Deref for Attachment {
    type Target = Arc<Outbox>;

    fn deref(&self) -> &Arc<Outbox> {
        &self.outbox
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.connected.fetch_sub(1, Ordering::Relaxed);
    }
}

/// When sessions end and wills are due, soonest first: vhost and name.
#[derive(Default)]
pub(super) struct Deadlines(BTreeSet<(Instant, Name, Name)>);

impl Session {
    /// A session without a connection or a will.
    pub(crate) fn new(name: Name, user: Name, queue: Name, expiry_ms: Option<u64>, durable: bool) -> Self {
        let (attached, ends_at, will, will_at, scheduled) = (None, None, None, None, NEVER);
        Self { name, user, queue, expiry_ms, durable, attached, ends_at, will, will_at, scheduled }
    }

    /// When something has to be done without anybody asking.
    fn deadline(&self) -> Option<Instant> {
        [self.ends_at, self.will_at].into_iter().flatten().min()
    }
}

impl Deadlines {
    fn set(&mut self, vhost: &Name, session: &mut Session) {
        let deadline = session.deadline().unwrap_or(NEVER);
        if deadline != session.scheduled {
            self.forget(vhost, session);
            if deadline != NEVER {
                self.0.insert((deadline, vhost.clone(), session.name.clone()));
            }
            session.scheduled = deadline;
        }
    }

    pub(super) fn forget(&mut self, vhost: &Name, session: &Session) {
        if session.scheduled != NEVER {
            self.0.remove(&(session.scheduled, vhost.clone(), session.name.clone()));
        }
    }
}

impl Definitions {
    /// When the next session ends or the next will is due.
    pub(crate) fn session_deadline(&self) -> Option<Instant> {
        self.deadlines.0.first().map(|(at, _, _)| *at)
    }

    /// The sessions that something is due of, soonest first: vhost and name.
    pub(crate) fn due_sessions(&self, now: Instant) -> Vec<(Name, Name)> {
        let due = self.deadlines.0.iter().take_while(|(at, _, _)| *at <= now);
        due.map(|(_, vhost, name)| (vhost.clone(), name.clone())).collect()
    }

    /// When the session ends or its will is due has changed. True when that is sooner than anything before.
    pub(crate) fn schedule_session(&mut self, vhost: &Name, name: &Name) -> bool {
        let before = self.session_deadline();
        let session = self.vhosts.get_mut(vhost).and_then(|entry| entry.sessions.get_mut(name));
        if let Some(session) = session {
            self.deadlines.set(vhost, session);
        }
        self.session_deadline().is_some_and(|at| before.is_none_or(|before| at < before))
    }

    /// After a restart nobody is connected: every session's time runs.
    pub(crate) fn detach_sessions(&mut self, now: Now) {
        for (vhost, entry) in &mut self.vhosts {
            for session in entry.sessions.values_mut() {
                session.ends_at = session.expiry_ms.map(|expiry_ms| now.instant.after_ms(expiry_ms));
                self.deadlines.set(vhost, session);
            }
        }
    }
}
