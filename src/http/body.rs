//! Bodies of requests: whole, within their limits of size and time.

use std::error::Error as _;
use std::time::Duration;

use axum::body::{Body, HttpBody as _, to_bytes};
use bytes::Bytes;
use http_body_util::LengthLimitError;

/// Time to send a whole body.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    TooLarge,
    TooSlow,
    /// Chunks that are none, or a peer that has gone.
    Broken,
}

/// Reads a body. One whose length says that it is too large is not read at all; chunked ones are counted while they come.
pub(super) async fn whole(body: Body, bytes_max: usize) -> Result<Bytes, Missing> {
    if usize::try_from(body.size_hint().lower()).is_ok_and(|bytes| bytes <= bytes_max) {
        let read = tokio::time::timeout(TIME_MAX, to_bytes(body, bytes_max)).await;
        return read.map_err(|_| Missing::TooSlow)?.map_err(|error| why(&error));
    }
    Err(Missing::TooLarge)
}

fn why(error: &axum::Error) -> Missing {
    match error.source() {
        Some(source) if source.is::<LengthLimitError>() => Missing::TooLarge,
        _ => Missing::Broken,
    }
}
