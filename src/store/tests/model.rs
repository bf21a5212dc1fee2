//! A caller that keeps no payload in memory, only locations: whatever the journal snapshots, frees, cleans and loses, a record
//! that is live reads back bit-exact.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::inspection::Seen;
use super::support::*;
use crate::simulated::{Random, SimulatedDisk};
use crate::*;

const MESSAGE: u8 = 1;
const DEATH: u8 = 2;
const REFERENCE: u8 = 3;

/// A record whose payload lives on disk only; here it is the truth to compare with.
#[derive(Clone, Debug)]
struct Message {
    payload: Vec<u8>,
    born: BatchSequence,
    died: Option<BatchSequence>,
    placed: Placed,
    location: Option<Location>,
}

impl Message {
    fn lives_at(&self, at: BatchSequence) -> bool {
        self.born <= at && self.died.is_none_or(|died| died > at)
    }
}

/// All messages there ever were, by number.
#[derive(Default)]
struct Messages {
    all: Vec<Message>,
    /// Places have been taken up to here.
    placed: BatchSequence,
    last: BatchSequence,
    /// Where the last recovery ended: what died before that has no location.
    recovered: BatchSequence,
}

impl Messages {
    fn live(&self, at: BatchSequence) -> BTreeMap<usize, &Message> {
        self.all.iter().enumerate().filter(|(_, message)| message.lives_at(at)).collect()
    }

    fn live_locations(&self) -> Vec<(usize, Location)> {
        let live = self.live(self.last).into_iter();
        live.filter_map(|(number, message)| Some((number, message.location?))).collect()
    }

    fn place(&mut self, place: BatchPlace) {
        for message in self.all.iter_mut().filter(|message| message.born == place.sequence) {
            message.location = Some(place.locate(message.placed));
        }
        self.placed = place.sequence;
    }

    /// What the journal lost has not happened.
    fn roll_back(&mut self, last: BatchSequence) {
        self.forget_behind(last);
        (self.placed, self.recovered) = (last, last);
    }

    fn forget_behind(&mut self, last: BatchSequence) {
        self.all.retain(|message| message.born <= last);
        for message in &mut self.all {
            message.died = message.died.filter(|died| *died <= last);
        }
        self.last = last;
    }
}

/// One journal and its caller, through several lives.
struct Run {
    random: Random,
    disk: SimulatedDisk,
    options: Options,
    /// Chooses keys, from life to life; `None`: there are none.
    keys: Option<Random>,
    messages: Arc<Mutex<Messages>>,
    durable: BatchSequence,
    /// Segments that became compact files.
    cleaned: u64,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut random = Random::new(seed ^ 0x5EED);
        let options = Options {
            segment_bytes: 4096 << random.below(2),
            group_bytes_max: 1 << random.below(14),
            spare_segments_max: random.below(3) as usize,
            keep_segments: true,
            identity: seed,
            ..options()
        };
        let disk = SimulatedDisk::new(seed);
        let keys = (seed % 2 == 1).then(|| Random::new(seed));
        Run { random, disk, options, keys, messages: Arc::default(), durable: BatchSequence::NONE, cleaned: 0 }
    }

    /// Opens and compares: what the snapshot refers to and the batches deliver is exactly what lived, and all of it can be read.
    fn open(&mut self) -> Option<Opened> {
        let seen = (self.disk.is_powered() && self.random.chance(4))
            .then(|| Seen::with(self.disk.clone(), &keys(None, &[1, 2])));
        let keys = self.keys.as_mut().map(any_keys).unwrap_or_default();
        let opened = try_open(&self.disk, Options { keys, ..self.options.clone() }).ok()?;
        if let Some(seen) = seen {
            assert_eq!(seen.damages, [], "a power failure is not damage");
            seen.agrees_with(&opened);
        }
        assert_eq!(opened.heard.damages, [], "a power failure is not damage");
        let last = opened.report.last;
        assert!(last >= self.durable, "durable {} but only {last} recovered", self.durable);
        let mut messages = self.messages.lock().unwrap();
        messages.roll_back(last);
        let mut found = BTreeMap::new();
        for reference in &opened.heard.snapshot {
            found.insert(reference.stream as usize, decode(&reference.payload));
        }
        for ((_, record), location) in opened.heard.batches.iter().zip(&opened.heard.locations) {
            match record.kind {
                MESSAGE => drop(found.insert(record.stream as usize, *location)),
                _ => drop(found.remove(&(record.stream as usize))),
            }
        }
        assert!(found.keys().eq(messages.live(last).keys()), "other messages live than should");
        for (number, location) in found {
            let known = messages.all[number].location.replace(location);
            assert!(known.is_none_or(|known| known == location), "a record has moved");
        }
        drop(messages);
        self.durable = last;
        self.read_all(&opened, &mut *opened.journal.reader());
        Some(opened)
    }

    fn read_all(&mut self, opened: &Opened, reader: &mut dyn Reader) {
        self.take_places(opened);
        let messages = self.messages.lock().unwrap();
        let mut asked = messages.live_locations();
        for index in 1..asked.len() {
            asked.swap(index, self.random.below(index as u64 + 1) as usize);
        }
        let locations: Vec<_> = asked.iter().map(|(_, location)| *location).collect();
        let mut payloads = Vec::new();
        reader.read(&locations, &mut payloads);
        assert_eq!(payloads.len(), asked.len());
        for ((number, location), payload) in asked.into_iter().zip(payloads) {
            let payload = match payload {
                Err(_) if !self.disk.is_powered() => continue,
                payload => payload.unwrap_or_else(|error| panic!("message {number} at {location:?}: {error}")),
            };
            assert_eq!(payload, messages.all[number].payload, "message {number}");
        }
    }

    fn take_places(&self, opened: &Opened) {
        let mut places = Vec::new();
        opened.journal.take_places(opened.next.previous(), &mut places);
        let mut messages = self.messages.lock().unwrap();
        places.into_iter().for_each(|place| messages.place(place));
    }

    /// Appends a batch of births and deaths.
    fn append(&mut self, opened: &mut Opened) {
        let mut messages = self.messages.lock().unwrap();
        let (sequence, mut builder) = (opened.next, BatchBuilder::new());
        for _ in 0..self.random.below(4) {
            let limit = if self.random.chance(8) { 2500 } else { 200 };
            let payload: Vec<u8> = (0..self.random.below(limit)).map(|_| self.random.next_u64() as u8).collect();
            let placed = builder.push(MESSAGE, messages.all.len() as u64, &[&payload]);
            messages.all.push(Message { payload, born: sequence, died: None, placed, location: None });
        }
        let live: Vec<usize> = messages.live(sequence).keys().copied().collect();
        for number in live {
            // Some live long: they are what cleaning is for.
            if self.random.chance(if number % 5 == 0 { 100 } else { 6 }) {
                builder.push(DEATH, number as u64, &[]);
                messages.all[number].died = Some(sequence);
            }
        }
        messages.last = sequence;
        let sync = if self.random.chance(2) { SyncMode::Needed } else { SyncMode::Lazy };
        if opened.journal.append(builder.finish(sequence, sync), sequence, opened.report.epoch).is_ok() {
            opened.next = sequence.next();
        } else {
            messages.forget_behind(sequence.previous());
        }
    }

    /// A snapshot of references, at a batch whose places are known.
    fn snapshot(&mut self, opened: &Opened) {
        self.take_places(opened);
        let messages = self.messages.lock().unwrap();
        let at = BatchSequence(messages.placed.0.saturating_sub(self.random.below(3))).max(messages.recovered);
        let mut builder = SnapshotBuilder::new();
        for (number, message) in messages.live(at) {
            builder.push(REFERENCE, number as u64, &[&encode(message.location.unwrap())]);
        }
        let _ = opened.journal.snapshot(at, builder.finish());
    }

    /// Gives up the closed segments in which nothing lives any more.
    fn release(&mut self, opened: &Opened) {
        let closed = opened.journal.segments();
        self.take_places(opened);
        let messages = self.messages.lock().unwrap();
        for segment in closed.iter().filter(|segment| segment.last.is_some()) {
            let is_here = |(_, location): &(usize, Location)| location.segment == segment.first;
            if !messages.live_locations().iter().any(is_here) {
                opened.journal.release(segment.first);
            }
        }
        if let Some(active) = opened.journal.segments().last().filter(|segment| segment.last.is_none()) {
            opened.journal.release(active.first);
        }
    }

    /// Cleans any segment; some are not to be cleaned.
    fn clean(&mut self, opened: &Opened) {
        self.take_places(opened);
        let segments = opened.journal.segments();
        let Some(segment) = segments.get(self.random.below(segments.len() as u64) as usize) else { return };
        let survivors = Living { messages: Arc::clone(&self.messages), segment: segment.first };
        match opened.journal.clean(segment.first, Box::new(survivors)) {
            Ok(()) => assert!(segment.covered),
            Err(CleanError::NotCovered { .. }) => assert!(!segment.covered),
            Err(CleanError::Busy | CleanError::Failed(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn act(&mut self, opened: &mut Opened, reader: &mut dyn Reader) {
        match self.random.below(26) {
            0..9 => self.append(opened),
            9..15 => drop(opened.stepped.writer.step()),
            15..18 => {
                for _ in 0..self.random.below(8) {
                    opened.stepped.housekeeper.step();
                }
            }
            18 => drop(opened.stepped.writer.seal()),
            19 => self.snapshot(opened),
            20 | 21 => self.release(opened),
            22 | 23 => self.clean(opened),
            _ => self.read_all(opened, reader),
        }
    }

    fn life(&mut self) {
        if self.random.chance(2) {
            self.disk.cut_power(1 + self.random.below(80));
        }
        let Some(mut opened) = self.open() else {
            assert!(!self.disk.is_powered(), "only a power cut prevents opening");
            return self.disk.crash();
        };
        let mut reader = opened.journal.reader();
        for _ in 0..self.random.below(300) {
            self.act(&mut opened, &mut *reader);
        }
        self.durable = opened.journal.durable();
        self.count_cleanings(&opened);
        drop(opened);
        if self.random.chance(3) && self.disk.is_powered() { self.disk.kill() } else { self.disk.crash() }
    }

    fn count_cleanings(&mut self, opened: &Opened) {
        for event in opened.drain_events() {
            match event {
                JournalEvent::Cleaned { len_bytes, .. } => self.cleaned += u64::from(len_bytes > 0),
                JournalEvent::CleanFailed { reason, .. } if self.disk.is_powered() => {
                    assert_eq!(reason, "the segment would not get smaller");
                }
                _ => {}
            }
        }
    }

    /// The end of everything: all die, and the space comes back.
    fn last_life(&mut self) {
        let mut opened = self.open().expect("opens");
        let mut builder = BatchBuilder::new();
        let mut messages = self.messages.lock().unwrap();
        let sequence = opened.next;
        let live: Vec<usize> = messages.live(sequence).keys().copied().collect();
        for number in live {
            builder.push(DEATH, number as u64, &[]);
            messages.all[number].died = Some(sequence);
        }
        messages.last = sequence;
        drop(messages);
        opened.journal.append(builder.finish(sequence, SyncMode::Needed), sequence, opened.report.epoch).unwrap();
        opened.next = sequence.next();
        self.release(&opened);
        assert_eq!(opened.settle(), Step::Idle);
        opened.journal.snapshot(sequence, SnapshotBuilder::new().finish()).unwrap();
        opened.settle();
        let segments = opened.journal.segments();
        assert!(segments.iter().all(|segment| segment.last.is_none()), "{segments:?}");
        self.durable = opened.journal.durable();
        drop(opened);
        self.disk.crash();
        self.open().expect("opens");
    }
}

/// Keeps the messages that live, and checks what it is shown.
struct Living {
    messages: Arc<Mutex<Messages>>,
    segment: BatchSequence,
}

impl Survivors for Living {
    fn keep(&mut self, records: &[StoredRecord<'_>], keep: &mut Vec<bool>) {
        assert!(keep.is_empty() && (1..=512).contains(&records.len()));
        let messages = self.messages.lock().unwrap();
        for record in records {
            assert_eq!(record.location.segment, self.segment);
            let number = record.stream as usize;
            let lives = record.kind == MESSAGE && messages.all[number].lives_at(messages.last);
            if lives {
                assert_eq!(messages.all[number].location, Some(record.location));
                assert_eq!(messages.all[number].payload, record.payload);
            }
            keep.push(lives);
        }
    }
}

fn encode(location: Location) -> Vec<u8> {
    let Location { segment, offset, length_bytes, crc } = location;
    let rest = [offset, length_bytes, crc].into_iter().flat_map(u32::to_le_bytes);
    segment.0.to_le_bytes().into_iter().chain(rest).collect()
}

fn decode(bytes: &[u8]) -> Location {
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let segment = BatchSequence(u64::from_le_bytes(bytes[..8].try_into().unwrap()));
    Location { segment, offset: number(8), length_bytes: number(12), crc: number(16) }
}

#[test]
fn what_lives_can_be_read_after_everything() {
    let cleaned = AtomicU64::new(0);
    for_each_seed(seeds(), |seed| {
        let mut run = Run::new(seed);
        for _ in 0..1 + run.random.below(5) {
            run.life();
        }
        run.last_life();
        cleaned.fetch_add(run.cleaned, Ordering::Relaxed);
    });
    assert!(cleaned.into_inner() > seeds() / 10, "too little was cleaned to test anything");
}
