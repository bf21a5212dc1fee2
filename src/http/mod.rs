//! Everything that speaks HTTP: the SQS and SNS APIs, health and metrics.

mod aws;
mod body;
mod management;

pub use aws::{Aws, GUEST};
pub use management::{Management, router as management_router};
