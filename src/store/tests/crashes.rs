//! Power failures, kills and orderly ends in any order, at any call: what was reported durable is there, nothing else is
//! but a prefix of what was appended, and the journal goes on.

use super::support::*;
use crate::simulated::{Random, SimulatedDisk};
use crate::*;

/// What was appended, and what must be there.
#[derive(Default)]
struct Truth {
    batches: Vec<Vec<Record>>,
    /// The highest batch that has to be there at the next open.
    required: u64,
    /// The same if the power fails before that.
    durable: u64,
}

impl Truth {
    /// The state after batch `at`, as a snapshot holds it: position and fingerprint, and bulk to make it several chunks.
    fn state_at(&self, at: u64, bulk: usize) -> Vec<Record> {
        let mut fingerprint = 0;
        for record in self.batches[..at as usize].iter().flatten() {
            fingerprint = crc32c::crc32c_append(fingerprint, &record.payload);
            fingerprint = crc32c::crc32c_append(fingerprint, &record.stream.to_le_bytes());
        }
        let mut state = vec![record(at, &fingerprint.to_le_bytes())];
        state.extend((0..bulk).map(|index| record(index as u64, &[index as u8; 700])));
        state
    }

    /// Compares a recovery with the truth, then forgets what was not durable and is gone.
    fn check(&mut self, opened: &Opened) {
        let (report, heard) = (&opened.report, &opened.heard);
        let (at, last) = (report.snapshot_at.0, report.last.0);
        assert_eq!(heard.damages, [], "a power failure is not damage");
        assert!(last >= self.required, "{} required but only {last} recovered", self.required);
        assert!(last <= self.batches.len() as u64, "{last} was never appended");
        if at > 0 {
            assert_eq!(heard.snapshot, self.state_at(at, heard.snapshot.len() - 1));
        }
        let expected = (at..last).flat_map(|index| {
            self.batches[index as usize].iter().map(move |record| (BatchSequence(index + 1), record.clone()))
        });
        assert!(expected.eq(heard.batches.iter().cloned()), "batches {at}..={last} differ");
        assert_eq!(report.batches, last - at);
        self.batches.truncate(last as usize);
        (self.required, self.durable) = (last, last);
    }
}

struct Run {
    random: Random,
    disk: SimulatedDisk,
    options: Options,
    /// Chooses keys, from life to life; `None`: there are none.
    keys: Option<Random>,
    truth: Truth,
    epoch: Epoch,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut random = Random::new(seed ^ 0xC0FFEE);
        let options = Options {
            segment_bytes: 4096 << random.below(3),
            group_bytes_max: 1 << random.below(14),
            keep_segments: random.chance(2),
            spare_segments_max: random.below(3) as usize,
            reserve_bytes: random.below(2) * 4096,
            identity: seed,
            keys: Keyring::default(),
        };
        let keys = (seed % 2 == 1).then(|| Random::new(seed));
        Run { random, disk: SimulatedDisk::new(seed), options, keys, truth: Truth::default(), epoch: Epoch(0) }
    }

    fn open(&mut self) -> Result<Opened, OpenError> {
        let keys = self.keys.as_mut().map(any_keys).unwrap_or_default();
        try_open(&self.disk, Options { keys, ..self.options.clone() })
    }

    /// One life of the process.
    fn life(&mut self) {
        if self.random.chance(2) {
            self.disk.cut_power(1 + self.random.below(50));
        }
        let Ok(mut opened) = self.open() else {
            assert!(!self.disk.is_powered(), "only a power cut prevents opening");
            self.truth.required = self.truth.durable;
            return self.disk.crash();
        };
        self.check(&opened);
        for _ in 0..self.random.below(80) {
            self.act(&mut opened);
        }
        self.end(opened);
    }

    fn check(&mut self, opened: &Opened) {
        self.truth.check(opened);
        assert!(opened.report.epoch > self.epoch, "every life has its own epoch");
        self.epoch = opened.report.epoch;
    }

    fn act(&mut self, opened: &mut Opened) {
        match self.random.below(20) {
            0..9 => {
                let records = random_records(&mut self.random);
                let sync = if self.random.chance(2) { SyncMode::Needed } else { SyncMode::Lazy };
                if opened.append_with(&records, sync).is_ok() {
                    self.truth.batches.push(records);
                }
            }
            9..15 => drop(opened.stepped.writer.step()),
            15..18 => drop(opened.stepped.housekeeper.step()),
            18 if self.random.chance(2) => drop(opened.stepped.writer.seal()),
            18 => drop(opened.stepped.writer.sync()),
            _ => {
                let at = self.random.below(self.truth.batches.len() as u64 + 1);
                let bulk = self.random.below(20) as usize;
                let _ = opened.journal.snapshot(BatchSequence(at), snapshot(&self.truth.state_at(at, bulk)));
            }
        }
    }

    fn end(&mut self, opened: Opened) {
        let (journal, events) = (opened.journal.clone(), opened.events.clone());
        let how = self.random.below(4);
        if how == 0 {
            opened.close();
        }
        self.check_events(&*journal, &events.lock().unwrap());
        self.truth.durable = journal.durable().0;
        if how == 1 && self.disk.is_powered() {
            self.truth.required = journal.written().0;
            return self.disk.kill();
        }
        self.truth.required = self.truth.durable;
        self.disk.crash();
    }

    /// The watermarks are what was announced, and nothing is durable before it is written.
    fn check_events(&self, journal: &dyn Journal, events: &[JournalEvent]) {
        let (mut durable, mut written) = (BatchSequence::NONE, BatchSequence::NONE);
        for event in events {
            let (mark, at) = match event {
                JournalEvent::Durable(at) => (&mut durable, *at),
                JournalEvent::Written(at) => (&mut written, *at),
                _ => continue,
            };
            assert!(at > *mark, "announced twice or backwards");
            *mark = at;
        }
        assert!(durable == journal.durable() || durable == BatchSequence::NONE);
        assert!(written.max(durable) <= journal.written() && journal.durable() <= journal.written());
    }

    /// The last life is undisturbed: everything works.
    fn last_life(&mut self) {
        let mut opened = self.open().expect("opens");
        self.check(&opened);
        let records = vec![record(1, b"still works")];
        opened.append(&records).unwrap();
        assert_eq!(opened.settle(), Step::Idle);
        assert_eq!(opened.journal.durable(), opened.next.previous());
        self.truth.batches.push(records);
        self.truth.required = opened.journal.durable().0;
        drop(opened);
        self.disk.kill();
        let opened = self.open().expect("opens");
        self.check(&opened);
    }
}

#[test]
fn durable_survives_every_crash() {
    for_each_seed(seeds(), |seed| {
        let mut run = Run::new(seed);
        for _ in 0..1 + run.random.below(6) {
            run.life();
        }
        run.last_life();
    });
}
