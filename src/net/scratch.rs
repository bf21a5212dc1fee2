//! One read buffer for each thread instead of one for each connection: an idle connection holds none.

use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// Bytes read at once: large enough that a busy connection needs few calls, small enough to stay in the cache.
const READ_BYTES: usize = 128 << 10;
/// Unread bytes up to which a connection copies them and gives the buffer back.
const REST_BYTES_MAX: usize = 4 << 10;

thread_local! {
    static SPARE: RefCell<BytesMut> = RefCell::default();
}

/// Reads at most `bytes_max` bytes to the end of `input`, which may get the thread's buffer for that. 0 means the end of the stream.
pub(super) fn poll_read<S: AsyncRead + Unpin>(
    stream: &mut S,
    context: &mut Context<'_>,
    input: &mut BytesMut,
    bytes_max: usize,
) -> Poll<io::Result<usize>> {
    if input.len() > REST_BYTES_MAX {
        input.reserve(READ_BYTES);
        return poll_append(stream, context, input, bytes_max);
    }
    SPARE.with_borrow_mut(|spare| {
        spare.clear();
        spare.reserve(REST_BYTES_MAX + READ_BYTES);
        spare.extend_from_slice(input);
        let count = ready!(poll_append(stream, context, spare, bytes_max))?;
        *input = std::mem::take(spare);
        Poll::Ready(Ok(count))
    })
}

fn poll_append<S: AsyncRead + Unpin>(
    stream: &mut S,
    context: &mut Context<'_>,
    input: &mut BytesMut,
    bytes_max: usize,
) -> Poll<io::Result<usize>> {
    let mut room = input.limit(bytes_max.clamp(1, READ_BYTES));
    pin!(stream.read_buf(&mut room)).poll(context)
}

/// Gives the thread its buffer back once nearly all of `input` has been understood.
pub(super) fn give_back(input: &mut BytesMut) {
    if input.len() > REST_BYTES_MAX {
        return;
    }
    // An idle connection holds nothing.
    let rest = if input.is_empty() { BytesMut::new() } else { BytesMut::from(&input[..]) };
    let mut buffer = std::mem::replace(input, rest);
    buffer.clear();
    // What messages were cut from stays with them.
    let is_whole = buffer.try_reclaim(REST_BYTES_MAX + READ_BYTES);
    if is_whole && buffer.capacity() <= 2 * READ_BYTES {
        SPARE.set(buffer);
    }
}

/// Reads and forgets what comes. Ready at the end of the stream.
pub(super) fn poll_discard<S: AsyncRead + Unpin>(stream: &mut S, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    let mut scratch = [0; REST_BYTES_MAX];
    loop {
        let mut buffer = ReadBuf::new(&mut scratch);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(()));
        }
    }
}
