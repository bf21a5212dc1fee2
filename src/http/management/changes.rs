//! Changes of what an operator declares: answered when they survive.

use super::answer::{Answer, Failure, done, made};
use super::call::Call;
use crate::administration::{AdministrationError, Change, Made};

/// Waits until a change survives.
pub(super) async fn keep(call: &Call, change: Result<Made, AdministrationError>) -> Result<Change, Failure> {
    Ok(call.engine.administration.durable(change?).await?)
}

/// 201 for what is new, 204 for the rest.
pub(super) async fn put(call: &Call, change: Result<Made, AdministrationError>) -> Answer {
    made(keep(call, change).await? == Change::Created)
}

/// 204, or 404 for what is not there.
pub(super) async fn delete(call: &Call, change: Result<Made, AdministrationError>) -> Answer {
    match change {
        Err(AdministrationError::NotFound(_)) => Err(Failure::no_object()),
        change => {
            keep(call, change).await?;
            done()
        }
    }
}

impl From<AdministrationError> for Failure {
    fn from(error: AdministrationError) -> Self {
        let text = error.to_string();
        match error {
            AdministrationError::NotFound(_) => Self::not_found(text),
            AdministrationError::Invalid(_) => Self::bad_request(text),
            AdministrationError::Declared(_) => Self::forbidden(text),
            AdministrationError::Protected(_) => Self::precondition_failed(text),
            AdministrationError::Unavailable(_) => Self::unavailable(text),
        }
    }
}
