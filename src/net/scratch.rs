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
    SPARE.with_borrow_mut(|spare| {
        let is_short = input.len() <= REST_BYTES_MAX;
        spare.clear();
        spare.reserve(REST_BYTES_MAX + READ_BYTES);
        if is_short {
            spare.extend_from_slice(input);
        }
        let mut room = (&mut *spare).limit(bytes_max.clamp(1, READ_BYTES));
        let count = ready!(pin!(stream.read_buf(&mut room)).poll(context))?;
        if is_short {
            *input = std::mem::take(spare);
        } else {
            input.extend_from_slice(spare);
        }
        Poll::Ready(Ok(count))
    })
}

/// Gives the thread its buffer back once most of `input` has been understood: who sends a part of something large and waits keeps
/// no more than that.
pub(super) fn give_back(input: &mut BytesMut) {
    if input.len() > REST_BYTES_MAX && input.len() > input.capacity() / 4 {
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

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn read(mut bytes: &[u8], input: &mut BytesMut) {
        let read = poll_read(&mut bytes, &mut Context::from_waker(Waker::noop()), input, usize::MAX);
        assert!(matches!(read, Poll::Ready(Ok(count)) if count > 0));
    }

    #[test]
    fn who_waits_in_the_middle_of_something_large_keeps_about_as_much_as_it_has_sent() {
        for sent in [1, 5_000, 30_000] {
            let mut input = BytesMut::new();
            read(&vec![7; sent], &mut input);
            give_back(&mut input);
            assert_eq!(input, vec![7; sent]);
            assert!(input.capacity() < 2 * sent + 64, "{sent}: {}", input.capacity());
            read(&[8; 100], &mut input);
            give_back(&mut input);
            assert_eq!((input.len(), input[sent - 1], input[sent]), (sent + 100, 7, 8));
            assert!(input.capacity() <= 2 * sent + 200, "{sent}: {}", input.capacity());
        }
    }

    #[test]
    fn who_waits_for_nothing_keeps_nothing() {
        let mut input = BytesMut::new();
        read(&[7; 1_000], &mut input);
        input.clear();
        give_back(&mut input);
        assert_eq!(input.capacity(), 0);
    }
}
