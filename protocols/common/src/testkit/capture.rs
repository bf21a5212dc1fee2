//! A capture is bytes that a real client sent. However the network cuts it, a machine must do the same.

use bytes::BytesMut;

use super::allocation;
use crate::random::Random;
use crate::{Machine, Now, Output};

/// Commands (as text) and bytes that a machine gave for some input.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// One line per command.
    pub commands: Vec<String>,
    /// Everything written to the peer.
    pub bytes: Vec<u8>,
    /// The close, as text.
    pub close: Option<String>,
}

/// Feeds `pieces` one after the other. After a close nothing more is fed, as a driver would do.
pub fn outcome_of<M: Machine>(mut machine: M, pieces: &[&[u8]]) -> Outcome {
    let (mut input, mut output) = (BytesMut::new(), Output::default());
    for piece in pieces {
        input.extend_from_slice(piece);
        if output.close.is_none() {
            machine.receive(Now::default(), &mut input, &mut output);
        }
    }
    Outcome {
        commands: output.commands.iter().map(|command| format!("{command:?}")).collect(),
        bytes: output.bytes.take_all().to_vec(),
        close: output.close.map(|close| format!("{close:?}")),
    }
}

/// The capture cut in two at every byte, and byte by byte, gives the same commands, bytes and close as in one piece.
///
/// # Panics
/// When it does not: this is an assertion.
pub fn assert_cut_anywhere<M: Machine>(make: impl Fn() -> M, capture: &[u8]) {
    let whole = outcome_of(make(), &[capture]);
    for cut in 0..=capture.len() {
        let (first, second) = capture.split_at(cut);
        assert_eq!(whole, outcome_of(make(), &[first, second]), "cut at byte {cut} of {}", capture.len());
    }
    let single: Vec<&[u8]> = capture.chunks(1).collect();
    assert_eq!(whole, outcome_of(make(), &single), "byte by byte");
}

/// Random bytes, and `captures` with random damage, neither panic nor make the machine allocate more than
/// `budget_bytes` beyond the input. Allocation is only seen where the test binary installs
/// [`allocation::CountingAllocator`].
///
/// # Panics
/// When the budget is exceeded: this is an assertion.
pub fn assert_survives_random_bytes<M: Machine>(
    make: impl Fn() -> M,
    captures: &[&[u8]],
    rounds: u64,
    budget_bytes: usize,
) {
    for seed in 0..rounds {
        let bytes = damaged(&mut Random::from_seed(seed), captures);
        let peak = allocation::peak_bytes(|| drop(outcome_of(make(), &[&bytes])));
        let allowed = budget_bytes + bytes.len() * 16;
        assert!(peak <= allowed, "seed {seed}: {peak} bytes allocated for {} bytes of input", bytes.len());
    }
}

fn damaged(random: &mut Random, captures: &[&[u8]]) -> Vec<u8> {
    let mut bytes = match captures {
        [] => Vec::new(),
        some => some[random.below(some.len() as u64) as usize].to_vec(),
    };
    let keep = random.below(bytes.len() as u64 + 1) as usize;
    match random.below(3) {
        0 => bytes.truncate(keep),
        1 => bytes.truncate(bytes.len()),
        _ => bytes.clear(),
    }
    if !bytes.is_empty() {
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.next_u64() as u8;
        }
    }
    bytes.extend((0..random.below(200)).map(|_| random.next_u64() as u8));
    bytes
}
