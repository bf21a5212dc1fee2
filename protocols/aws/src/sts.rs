//! STS `GetCallerIdentity`: what fixtures and command lines ask first.

use crate::call::Job;
use crate::error::Failure;
use crate::wire::Shape;

pub(crate) fn perform(action: &str, job: &Job) -> Result<Shape, Failure> {
    if action != "GetCallerIdentity" {
        return Err(Failure::UnknownAction(action.to_owned()));
    }
    let user = &job.user;
    Ok(Shape::fields([
        ("Arn", Shape::text(job.user_arn())),
        ("UserId", Shape::text(user.as_str())),
        ("Account", Shape::text(job.account())),
    ]))
}
