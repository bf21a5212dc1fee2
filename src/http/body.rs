//! Bodies of requests: whole, within their limits of size and time.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body;
use smallvec::SmallVec;

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
        let read = tokio::time::timeout(TIME_MAX, joined(Limited::new(body, bytes_max))).await;
        return read.map_err(|_| Missing::TooSlow)?.map_err(|error| why(&*error));
    }
    Err(Missing::TooLarge)
}

/// One piece, as most bodies come, is taken as it is.
async fn joined<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Result<Bytes, B::Error> {
    let mut pieces: SmallVec<[Bytes; 1]> = SmallVec::new();
    while let Some(frame) = body.frame().await {
        pieces.extend(frame?.into_data());
    }
    let only = if pieces.len() == 1 { pieces.pop() } else { None };
    Ok(only.unwrap_or_else(|| pieces.concat().into()))
}

fn why(error: &(dyn Error + Send + Sync + 'static)) -> Missing {
    if error.is::<LengthLimitError>() { Missing::TooLarge } else { Missing::Broken }
}
