//! The crate from outside: HTTP requests as SDKs send them, a core that says what the test wants, HTTP responses.

mod access;
mod catalogue;
mod changes;
mod core;
mod hostile;
mod limits;
mod messages;
mod shared_topics;
