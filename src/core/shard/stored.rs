//! Messages that are on disk only, and pages of them that are on disk as well.

use std::num::NonZeroU64;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use crate::log::Location;
use crate::record::{RecordError, put_location, take_location, take_u32, take_u64};

/// A message that is on disk only. Its segment is never 0, which is what `Option` uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredRef {
    pub position: u64,
    pub location: Location,
    pub body_bytes: u32,
    pub attempts: u32,
    /// It survives a restart.
    pub logged: bool,
    /// The message has a time to live of its own.
    pub expires: bool,
}

/// Bytes of one reference in a record.
const REF_BYTES: usize = 37;
const LOGGED: u8 = 1;
const EXPIRES: u8 = 2;

/// Many references, which are on disk only: the middle of a long queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageRef {
    pub location: Location,
    /// The least and greatest position in it; others may lie between that are elsewhere.
    pub positions: (u64, u64),
    pub all: Tally,
    /// Those that survive a restart.
    pub logged: Tally,
    /// Some of the messages have a time to live of their own.
    pub expires: bool,
    /// Read from a snapshot: what did not survive the restart is to be passed over.
    pub survived: bool,
    /// How many of the messages are in which segment.
    pub segments: SmallVec<[(NonZeroU64, Tally); 2]>,
}

/// How many, and how large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// How large all together.
    pub bytes: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, bytes: u32) {
        self.count += 1;
        self.bytes += u64::from(bytes);
    }
}

impl PageRef {
    /// Sums up a page that was written to `location`.
    pub(crate) fn new<'a>(location: Location, refs: impl Iterator<Item = &'a StoredRef>) -> Self {
        let mut page = Self {
            location,
            positions: (u64::MAX, 0),
            all: Tally::default(),
            logged: Tally::default(),
            expires: false,
            survived: false,
            segments: SmallVec::new(),
        };
        refs.for_each(|stored| page.count(stored));
        page
    }

    fn count(&mut self, stored: &StoredRef) {
        self.positions = (self.positions.0.min(stored.position), self.positions.1.max(stored.position));
        self.all.add(stored.body_bytes);
        if stored.logged {
            self.logged.add(stored.body_bytes);
        }
        self.expires |= stored.expires;
        let segment = stored.location.segment;
        if self.segments.last().is_none_or(|last| last.0 != segment) {
            self.segments.push((segment, Tally::default()));
        }
        if let Some((_, tally)) = self.segments.last_mut() {
            tally.add(stored.location.length_bytes);
        }
    }

    /// Whether a message of that position may be in it.
    pub(crate) fn spans(&self, position: u64) -> bool {
        (self.positions.0..=self.positions.1).contains(&position)
    }
}

/// Writes references one after another.
pub(crate) fn put_refs<'a>(out: &mut BytesMut, refs: impl Iterator<Item = &'a StoredRef>) {
    for stored in refs {
        out.put_u64_le(stored.position);
        put_location(out, &stored.location);
        out.put_u32_le(stored.body_bytes);
        out.put_u32_le(stored.attempts);
        out.put_u8(if stored.logged { LOGGED } else { 0 } | if stored.expires { EXPIRES } else { 0 });
    }
}

/// Reads what [`put_refs`] wrote, to the end.
pub(crate) fn take_refs(mut input: Bytes) -> Result<Vec<StoredRef>, RecordError> {
    let mut refs = Vec::with_capacity(input.len() / REF_BYTES);
    while !input.is_empty() {
        refs.push(take_ref(&mut input)?);
    }
    Ok(refs)
}

/// Reads one reference.
pub(crate) fn take_ref(input: &mut Bytes) -> Result<StoredRef, RecordError> {
    let position = take_u64(input)?;
    let location = take_location(input)?;
    let (body_bytes, attempts) = (take_u32(input)?, take_u32(input)?);
    let flags = input.try_get_u8().map_err(|_| RecordError("reference ends early"))?;
    let (logged, expires) = (flags & LOGGED != 0, flags & EXPIRES != 0);
    Ok(StoredRef { position, location, body_bytes, attempts, logged, expires })
}

/// Writes a page as a snapshot keeps it.
pub(crate) fn put_page(out: &mut BytesMut, page: &PageRef) {
    put_location(out, &page.location);
    for number in [page.positions.0, page.positions.1] {
        out.put_u64_le(number);
    }
    put_tally(out, page.all);
    put_tally(out, page.logged);
    out.put_u8(u8::from(page.expires));
    out.put_u32_le(u32::try_from(page.segments.len()).unwrap_or(u32::MAX));
    for (segment, tally) in &page.segments {
        out.put_u64_le(segment.get());
        put_tally(out, *tally);
    }
}

/// Reads what [`put_page`] wrote.
pub(crate) fn take_page(input: &mut Bytes) -> Result<PageRef, RecordError> {
    let location = take_location(input)?;
    let positions = (take_u64(input)?, take_u64(input)?);
    let (all, logged) = (take_tally(input)?, take_tally(input)?);
    let expires = input.try_get_u8().map_err(|_| RecordError("page ends early"))? != 0;
    let count = take_u32(input)?;
    let segments = (0..count)
        .map(|_| {
            let segment = NonZeroU64::new(take_u64(input)?).ok_or(RecordError("a segment without a number"))?;
            Ok((segment, take_tally(input)?))
        })
        .collect::<Result<_, RecordError>>()?;
    Ok(PageRef { location, positions, all, logged, expires, survived: true, segments })
}

fn put_tally(out: &mut BytesMut, tally: Tally) {
    out.put_u64_le(tally.count);
    out.put_u64_le(tally.bytes);
}

fn take_tally(input: &mut Bytes) -> Result<Tally, RecordError> {
    Ok(Tally { count: take_u64(input)?, bytes: take_u64(input)? })
}
