//! What many have and few change.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A value that its clones share until one of them is changed.
#[derive(Debug, Default, PartialEq)]
pub struct Shared<T>(Arc<T>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<T: PartialEq> Shared<T> {
    /// Becomes a clone of `other` if it says the same; else that becomes a clone of this one.
    pub fn share(&mut self, other: &mut Self) {
        if self == other {
            *self = other.clone();
        } else {
            *other = self.clone();
        }
    }
}
