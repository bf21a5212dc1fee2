//! What a binding lets through, where a protocol decides it.

use std::any::Any;
use std::fmt::Debug;

use crate::Message;

/// A rule over messages, read once and asked for every message of a binding's exchange. It knows nothing but the message.
pub trait Filter: Send + Sync + Debug {
    /// Whether the message follows the binding.
    fn matches(&self, sight: &mut Sight<'_>) -> bool;
}

/// A message as the filters of an exchange see it one after the other: what one has read of it, the next need not read again.
pub struct Sight<'a> {
    /// What they look at.
    pub message: &'a Message,
    read: Option<Box<dyn Any>>,
}

impl<'a> Sight<'a> {
    /// Of a message that nobody has looked at yet.
    pub fn new(message: &'a Message) -> Self {
        Self { message, read: None }
    }

    /// Looks at the message with what filters of the same kind have noted of it; the first one has an empty note.
    pub fn read<T: Default + 'static, R>(&mut self, look: impl FnOnce(&mut T, &Message) -> R) -> R {
        let noted = self.read.take().and_then(|read| read.downcast::<T>().ok());
        let mut note = noted.unwrap_or_default();
        let seen = look(&mut note, self.message);
        self.read = Some(note);
        seen
    }
}
