//! One read buffer for each thread instead of one for each connection: an idle connection holds none.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes read at once: large enough that a busy connection needs few calls, small enough to stay in the cache.
const SCRATCH_BYTES: usize = 64 << 10;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// Reads at most `bytes_max` bytes and appends them to `input`. 0 means the end of the stream.
pub(super) fn poll_read<S: AsyncRead + Unpin>(
    stream: &mut S,
    context: &mut Context<'_>,
    input: &mut BytesMut,
    bytes_max: usize,
) -> Poll<io::Result<usize>> {
    poll_with(stream, context, bytes_max, |read| input.extend_from_slice(read))
}

/// Reads and forgets what comes. Ready at the end of the stream.
pub(super) fn poll_discard<S: AsyncRead + Unpin>(stream: &mut S, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    while ready!(poll_with(stream, context, SCRATCH_BYTES, |_| ()))? > 0 {}
    Poll::Ready(Ok(()))
}

fn poll_with<S: AsyncRead + Unpin>(
    stream: &mut S,
    context: &mut Context<'_>,
    bytes_max: usize,
    take: impl FnOnce(&[u8]),
) -> Poll<io::Result<usize>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let room = bytes_max.clamp(1, scratch.len());
        let mut buffer = ReadBuf::new(&mut scratch[..room]);
        ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
        take(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
}
