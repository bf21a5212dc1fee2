//! What calls ask about users and about what is another account's, before the core is asked in the user's name.

use core::fmt::Debug;
use std::sync::Arc;

use crossdock_common::definition::BindingSpec;
use crossdock_common::refusal::{Access, Resource};
use crossdock_common::{Name, Refusal, Table};

use crate::call::Environment;
use crate::namespaces::Namespace;

/// Knows all accounts. What it says goes into decisions, and never into answers.
pub trait Directory: Debug + Send + Sync {
    /// The attributes of a queue or an exchange; `None` if there is none of that name.
    fn attributes(&self, vhost: &Name, resource: Resource, name: &Name) -> Option<Table>;

    /// The bindings of an exchange, or of all exchanges of the virtual host.
    fn bindings(&self, vhost: &Name, source: Option<&Name>) -> Vec<Arc<BindingSpec>>;

    /// The accounts and regions that somebody has used.
    fn namespaces(&self) -> Vec<Namespace>;

    /// Whether the broker's permissions let the user do that. Where there is no such virtual host yet, those of its account.
    fn may(&self, user: &Name, vhost: &Name, access: Access, resource: Resource, name: &Name) -> bool;

    /// Whether the user has any permission there, in the same way.
    fn may_enter(&self, user: &Name, vhost: &Name) -> bool;

    /// Makes the virtual host of a namespace.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`]: there are too many.
    fn settle(&self, environment: &Arc<Environment>) -> Result<(), Refusal>;

    /// The resources of an account in a region (its own where the caller signed for none), if there are any.
    fn find(&self, account: &str, region: Option<&str>) -> Option<Arc<Environment>>;
}
