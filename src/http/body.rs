//! Bodies of requests: whole, within their limits of size and time.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body;

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
pub(super) async fn whole<B>(body: B, bytes_max: usize) -> Result<Bytes, Missing>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    if usize::try_from(body.size_hint().lower()).is_ok_and(|bytes| bytes <= bytes_max) {
        let read = tokio::time::timeout(TIME_MAX, Limited::new(body, bytes_max).collect()).await;
        return Ok(read.map_err(|_| Missing::TooSlow)?.map_err(|error| why(&*error))?.to_bytes());
    }
    Err(Missing::TooLarge)
}

fn why(error: &(dyn Error + Send + Sync + 'static)) -> Missing {
    if error.is::<LengthLimitError>() { Missing::TooLarge } else { Missing::Broken }
}
