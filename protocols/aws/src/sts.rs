//! STS `GetCallerIdentity`: what fixtures and command lines ask first.

use crate::call::Job;
use crate::error::Failure;
use crate::wire::Shape;

pub(crate) fn perform(action: &str, job: &Job) -> Result<Shape, Failure> {
    if action != "GetCallerIdentity" {
        return Err(Failure::UnknownAction(action.to_owned()));
    }
    let (account, user) = (&job.place.account, &job.user);
    Ok(Shape::fields([
        ("Arn", Shape::text(format!("arn:aws:iam::{account}:user/{user}"))),
        ("UserId", Shape::text(user.as_str())),
        ("Account", Shape::text(account.as_str())),
    ]))
}
