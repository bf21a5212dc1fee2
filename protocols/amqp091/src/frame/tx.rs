//! Class 90, `tx`.

use super::method::{MethodId, TX};
use super::wire::Malformed;
use crate::error::Fault;

/// `tx.select-ok`
pub const SELECT_OK: MethodId = MethodId::new(TX, 11);
/// `tx.commit`
pub const COMMIT: MethodId = MethodId::new(TX, 20);
/// `tx.commit-ok`
pub const COMMIT_OK: MethodId = MethodId::new(TX, 21);
/// `tx.rollback-ok`
pub const ROLLBACK_OK: MethodId = MethodId::new(TX, 31);

/// What a client asks for; none has arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The channel becomes transactional.
    Select,
    /// What was gathered happens.
    Commit,
    /// What was gathered is forgotten.
    Rollback,
}

/// Reads a method.
pub fn parse(number: u16, input: &[u8]) -> Result<Option<Request>, Fault> {
    let request = match number {
        10 => Request::Select,
        20 => Request::Commit,
        30 => Request::Rollback,
        _ => return Ok(None),
    };
    if input.is_empty() {
        return Ok(Some(request));
    }
    Err(Fault::from(Malformed("there are bytes after the arguments")).at(MethodId::new(TX, number)))
}
