//! The SQS and SNS APIs (and STS `GetCallerIdentity`), as unmodified AWS SDKs speak them.
//!
//! There is no networking code here, no HTTP server, no clock and no queue: an HTTP [`Request`] and [`Now`] go in, the
//! [`Call`] gives commands to the core and takes its events, until it has a [`Response`].
//!
//! [`Now`]: crossdock_common::Now

mod access;
mod arn;
mod calendar;
mod call;
mod convert;
mod desk;
mod digest;
mod directory;
mod error;
mod http;
mod json_text;
mod memory;
pub mod namespaces;
mod office;
mod policy;
mod receipt;
pub mod sigv4;
mod sns;
mod sqs;
mod sts;
mod wire;

pub use self::http::{Head, Request, Response};
pub use calendar::iso8601;
pub use call::{Call, Caller, Environment, Quirks, refuse};
pub use convert::{AwsFormat, FORMAT};
pub use directory::Directory;
pub use error::Failure;
pub use memory::Memory;
pub use namespaces::{Namespace, Namespaces};
pub use office::{PostOffice, SignatureVersion};
pub use sns::{ACTIONS as SNS_ACTIONS, Behalf, bearer, confirmer, outward};
pub use sqs::ACTIONS as SQS_ACTIONS;
