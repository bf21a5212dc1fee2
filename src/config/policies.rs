//! Policies and durability in the core's words.

use super::settings::{Durability, PolicySettings};

impl PolicySettings {
    /// The policy as the core knows it.
    ///
    /// # Errors
    /// The pattern is not a regular expression.
    pub fn to_core(&self) -> anyhow::Result<crossdock_core::Policy> {
        let durability = self.durability.map(Durability::into);
        Ok(crossdock_core::Policy::new(self.vhost.as_str().into(), &self.pattern, self.priority, durability)?)
    }
}

impl From<Durability> for crossdock_common::definition::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Fsync => Self::Fsync,
            Durability::Os => Self::Os,
            Durability::Memory => Self::Memory,
        }
    }
}
