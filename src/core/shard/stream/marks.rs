//! When the messages of a stream came, roughly: a mark now and then. It tells which messages are too old without reading them, and
//! where to begin to look for a time.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use crossdock_common::UnixMillis;

/// A mark is made when the last one is so old, in milliseconds.
const SPACING_MS: u64 = 1_000;
/// Of more marks than this, two become one.
const MARKS_MAX: usize = 4_096;
/// The first byte of a mark's key among the states of the queue.
const KEY: u8 = b't';
/// Bytes of key and value.
const STATE_BYTES: usize = 25;

/// A message, and those behind it up to the next mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    position: u64,
    /// They came at this time or later, as long as the clock is not set back.
    from: UnixMillis,
    /// They came before this time.
    to: UnixMillis,
}

/// Marks by place.
#[derive(Default)]
pub(super) struct Marks {
    marks: VecDeque<Mark>,
}

impl Marks {
    /// A message has come. Gives the mark that is to be kept, if there is a new one.
    pub(super) fn note(&mut self, position: u64, at: UnixMillis) -> Option<(Bytes, Bytes)> {
        // A crash took what those marks stand for, and left the marks.
        while self.marks.pop_back_if(|last| last.position > position).is_some() {}
        if self.marks.back().is_some_and(|last| at < last.to) {
            return None;
        }
        let mark = Mark { position, from: at, to: UnixMillis(at.0.saturating_add(SPACING_MS)) };
        self.put(mark);
        Some(mark.state())
    }

    fn put(&mut self, mark: Mark) {
        while self.marks.pop_back_if(|last| last.position >= mark.position).is_some() {}
        self.marks.push_back(mark);
        if self.marks.len() > MARKS_MAX {
            self.marks = thinned(&self.marks);
        }
    }

    /// All messages before this place came before `since`.
    pub(super) fn before(&self, since: UnixMillis) -> u64 {
        let earlier = self.marks.partition_point(|mark| mark.to <= since);
        self.marks.get(earlier).or(self.marks.back()).map_or(0, |mark| mark.position)
    }

    /// All messages before this place came at that time or earlier; `next_position` if all have.
    pub(super) fn until(&self, until: UnixMillis, next_position: u64) -> u64 {
        let passed = self.marks.partition_point(|mark| mark.to <= until);
        self.marks.get(passed).map_or(if passed > 0 { next_position } else { 0 }, |mark| mark.position)
    }

    /// When [`until`](Self::until) gives a place behind this one.
    pub(super) fn until_behind(&self, position: u64) -> Option<UnixMillis> {
        let behind = self.marks.partition_point(|mark| mark.position <= position);
        self.marks.get(behind.saturating_sub(1)).map(|mark| mark.to)
    }

    /// No message is before this place any more.
    pub(super) fn forget_before(&mut self, first_position: u64) {
        while self.marks.get(1).is_some_and(|mark| mark.position <= first_position) {
            self.marks.pop_front();
        }
    }

    pub(super) fn states(&self) -> impl Iterator<Item = (Bytes, Bytes)> {
        self.marks.iter().map(Mark::state)
    }

    /// Takes back what was kept, in order; what comes twice is passed over.
    pub(super) fn restore(&mut self, key: &[u8], value: &[u8]) -> bool {
        let Some(mark) = Mark::of_state(key, value) else { return false };
        if self.marks.back().is_none_or(|last| last.to <= mark.from) {
            self.put(mark);
        }
        true
    }
}

/// Makes one mark of two; the last one stays for itself if it has no partner.
fn thinned(marks: &VecDeque<Mark>) -> VecDeque<Mark> {
    let mut thinned = VecDeque::with_capacity(MARKS_MAX);
    let mut rest = marks.iter();
    while let Some(first) = rest.next() {
        thinned.push_back(Mark { to: rest.next().map_or(first.to, |second| second.to), ..*first });
    }
    thinned
}

impl Mark {
    fn state(&self) -> (Bytes, Bytes) {
        let mut state = BytesMut::with_capacity(STATE_BYTES);
        state.put_u8(KEY);
        state.put_u64(self.position);
        let key = state.split().freeze();
        state.put_u64_le(self.from.0);
        state.put_u64_le(self.to.0);
        (key, state.freeze())
    }

    fn of_state(key: &[u8], mut value: &[u8]) -> Option<Self> {
        let position = key.strip_prefix(&[KEY])?.try_into().map(u64::from_be_bytes).ok()?;
        let from = UnixMillis(value.try_get_u64_le().ok()?);
        let to = UnixMillis(value.try_get_u64_le().ok()?);
        value.is_empty().then_some(Self { position, from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(all: &[(u64, u64)]) -> Marks {
        let mut marks = Marks::default();
        for (position, at) in all {
            marks.note(*position, UnixMillis(*at)).expect("a new mark");
        }
        marks
    }

    #[test]
    fn a_mark_is_made_once_a_second() {
        let mut marks = marks(&[(1, 10_000)]);
        assert_eq!(marks.note(2, UnixMillis(10_999)), None);
        assert!(marks.note(3, UnixMillis(11_000)).is_some());
        assert_eq!(marks.note(4, UnixMillis(9_000)), None, "a clock that was set back");
    }

    #[test]
    fn places_are_found_by_time() {
        let marks = marks(&[(1, 10_000), (5, 20_000), (9, 30_000)]);
        for (since, position) in [(0, 1), (10_999, 1), (11_000, 5), (20_000, 5), (21_000, 9), (99_999, 9)] {
            assert_eq!(marks.before(UnixMillis(since)), position, "since {since}");
        }
        for (until, position) in [(0, 1), (10_999, 1), (11_000, 5), (20_999, 5), (21_000, 9), (31_000, 12)] {
            assert_eq!(marks.until(UnixMillis(until), 12), position, "until {until}");
        }
        for (first, at) in [(1, 11_000), (4, 11_000), (5, 21_000), (9, 31_000), (11, 31_000)] {
            assert_eq!(marks.until_behind(first), Some(UnixMillis(at)), "first {first}");
        }
        assert_eq!(Marks::default().until(UnixMillis(5), 12), 0, "nobody knows");
    }

    #[test]
    fn marks_come_back_once_and_in_order() {
        let all = marks(&[(1, 10_000), (5, 20_000), (9, 30_000)]);
        let mut again = Marks::default();
        for (key, value) in all.states().chain(all.states()) {
            assert!(again.restore(&key, &value));
        }
        assert_eq!(again.marks, all.marks);
        assert!(!again.restore(b"other", b"12345678"));
        assert!(!again.restore(b"t", b"12345678"));
    }

    #[test]
    fn what_a_crash_took_leaves_no_mark_for_what_comes_in_its_place() {
        let all = [(1, 10_000), (5, 20_000), (9, 30_000)];
        let (mut again, mut marks) = (marks(&all), marks(&all));
        let (key, value) = marks.note(7, UnixMillis(40_000)).expect("a new mark");
        assert_eq!(marks.until(UnixMillis(31_000), 8), 7, "the mark of 9 is gone");
        assert!(again.restore(&key, &value));
        assert_eq!(again.marks, marks.marks);
        let (key, value) = marks.note(7, UnixMillis(50_000)).expect("a new mark");
        assert!(again.restore(&key, &value));
        assert_eq!((again.until(UnixMillis(41_000), 8), marks.until(UnixMillis(41_000), 8)), (7, 7));
    }

    #[test]
    fn of_many_marks_some_go_and_the_last_stays() {
        let mut marks = Marks::default();
        for number in 0..20_000 {
            marks.note(number + 1, UnixMillis(number * 1_000));
            assert!(marks.marks.len() <= MARKS_MAX);
            let last = marks.marks.back().expect("some");
            assert_eq!(last.to, UnixMillis(number * 1_000 + SPACING_MS));
            assert_eq!(marks.until(last.to, 99_999), 99_999);
        }
        marks.forget_before(15_000);
        assert!(marks.marks[0].position <= 15_000 && marks.marks[1].position > 15_000);
    }
}
