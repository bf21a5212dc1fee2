//! What few of many have.

use std::ops::{Deref, DerefMut};

/// A value that is not there until it is changed, and takes a pointer until then. Reading finds [`Rare::NONE`].
pub(crate) struct Rarely<T>(Option<Box<T>>);

/// What a [`Rarely`] can hold.
pub(crate) trait Rare: Default + 'static {
    /// As if it were there, and empty.
    const NONE: &'static Self;
}

impl<T> Default for Rarely<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Rarely<T> {
    /// The value, if it was ever changed: for what changes nothing where nothing is.
    pub(crate) fn present(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }
}

impl<T: Rare> Deref for Rarely<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::NONE)
    }
}

impl<T: Rare> DerefMut for Rarely<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}
