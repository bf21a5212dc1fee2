//! Moving a queue's messages to another queue (SQS message move tasks).

use crate::{Name, UnixMillis};

/// What is to be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveSpec {
    /// The queue that the messages leave.
    pub source: Name,
    /// The queue that gets them; without it, each goes to the queue in which it died last.
    pub destination: Option<Name>,
    /// Messages in a second; as fast as it goes if `None`.
    pub per_second: Option<u32>,
}

/// A task that moves messages, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveInfo {
    /// Its number; never given twice.
    pub number: u64,
    /// What it was asked to do.
    pub spec: MoveSpec,
    /// How far it is.
    pub status: MoveStatus,
    /// Messages that are safe in their new queues.
    pub moved: u64,
    /// Messages that were there when it began.
    pub to_move: u64,
    /// When it began.
    pub started_at: UnixMillis,
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveStatus {
    /// It moves messages.
    Running,
    /// What is on its way arrives, then it ends.
    Cancelling,
    /// Everything that was there has been moved, or was taken by others.
    Completed,
    /// It was told to end.
    Cancelled,
    /// It could not go on; what it could not move is where it was.
    Failed(MoveFailure),
}

/// Why a task could not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveFailure {
    /// A message has died nowhere, so nothing says where it came from.
    UnknownSource,
    /// A queue that should get messages does not exist (any more).
    NoDestination,
    /// A queue that should get messages refuses them: it is full, say.
    Refused,
}

impl MoveStatus {
    const ALL: [Self; 7] = [
        Self::Running,
        Self::Cancelling,
        Self::Completed,
        Self::Cancelled,
        Self::Failed(MoveFailure::UnknownSource),
        Self::Failed(MoveFailure::NoDestination),
        Self::Failed(MoveFailure::Refused),
    ];

    /// The word that stands for it in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed(MoveFailure::UnknownSource) => "failed: unknown source",
            Self::Failed(MoveFailure::NoDestination) => "failed: no destination",
            Self::Failed(MoveFailure::Refused) => "failed: refused",
        }
    }

    /// What the word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }

    /// It has not ended.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Cancelling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_word() {
        assert!(MoveStatus::ALL.into_iter().all(|status| MoveStatus::from_word(status.word()) == Some(status)));
        assert_eq!(MoveStatus::from_word("unheard of"), None);
        assert_eq!(MoveStatus::ALL.into_iter().filter(|status| status.is_active()).count(), 2);
    }
}
