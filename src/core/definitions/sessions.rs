//! The sessions of a vhost, and how many each user has.

use std::collections::BTreeMap;
use std::ops::Deref;

use crossdock_common::Name;
use hashbrown::HashMap;

use super::session::Session;

/// Sessions by name. Reading is the map's own.
#[derive(Default)]
pub(crate) struct Sessions {
    /// Boxed: the nodes of the tree are half empty.
    all: BTreeMap<Name, Box<Session>>,
    /// How many a user has; nobody has none.
    owned: HashMap<Name, usize>,
}

impl Sessions {
    /// Adds a session, in place of one with its name.
    pub(crate) fn insert(&mut self, session: Session) {
        self.remove(&session.name.clone());
        *self.owned.entry(session.user.clone()).or_default() += 1;
        self.all.insert(session.name.clone(), Box::new(session));
    }

    pub(crate) fn remove(&mut self, name: &Name) -> Option<Session> {
        let session = self.all.remove(name)?;
        if let Some(count) = self.owned.get_mut(&session.user) {
            *count -= 1;
            if *count == 0 {
                self.owned.remove(&session.user);
            }
        }
        Some(*session)
    }

    /// Its user stays who it is.
    pub(crate) fn get_mut(&mut self, name: &Name) -> Option<&mut Session> {
        self.all.get_mut(name).map(Box::as_mut)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.all.values_mut().map(Box::as_mut)
    }

    /// How many that user has.
    pub(crate) fn count_of(&self, user: &Name) -> usize {
        self.owned.get(user).copied().unwrap_or_default()
    }
}

impl Deref for Sessions {
    type Target = BTreeMap<Name, Box<Session>>;

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}
