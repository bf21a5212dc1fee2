//! What one request may do although its user has no permission of the broker, because the owner of a queue or exchange lets him.
//!
//! A warrant is given to one connection of the core by the part of the broker that owns the connection, and ends with it. No command
//! asks for one, so no peer can. There is none for changing anything that is a user's: what a queue or exchange is like needs permission.
//! Only queues that a service has for itself are made and deleted for somebody who has no permission there ([`Right::Keep`]).

use crate::Name;
use crate::refusal::Resource;

/// One thing that may be done with one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warrant {
    /// Where the resource is.
    pub vhost: Name,
    /// A queue, an exchange, or the virtual host itself.
    pub resource: Resource,
    /// The resource's name; that of the virtual host for itself.
    pub name: Name,
    /// What may be done with it.
    pub right: Right,
}

/// What may be done with a resource. Who may do anything else may look, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To ask what it is like; of a virtual host, which queues it has.
    Look,
    /// To take messages from a queue; to bind from an exchange, and to end that.
    Read,
    /// To put messages into a queue through the default exchange, or to publish to an exchange.
    Write,
    /// To make a queue and to delete it, and to bind it to what may be read. It gives neither its messages nor a dead-letter exchange.
    Keep,
}
