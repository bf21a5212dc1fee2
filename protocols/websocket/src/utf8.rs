//! UTF-8 that comes in pieces.

/// What was seen of a character that is not whole.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Utf8 {
    begun: [u8; 4],
    count: usize,
}

impl Utf8 {
    /// Takes the next piece; false if the text is none.
    pub(crate) fn take(&mut self, mut piece: &[u8]) -> bool {
        while self.count > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return true };
            piece = rest;
            self.begun[self.count] = byte;
            self.count += 1;
            match std::str::from_utf8(&self.begun[..self.count]) {
                Ok(_) => self.count = 0,
                // Four bytes are a character or are none.
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        let Err(error) = std::str::from_utf8(piece) else { return true };
        let rest = &piece[error.valid_up_to()..];
        if error.error_len().is_some() {
            return false;
        }
        self.begun[..rest.len()].copy_from_slice(rest);
        self.count = rest.len();
        true
    }

    /// Whether the text may end here; a new one begins.
    pub(crate) fn end(&mut self) -> bool {
        std::mem::take(&mut self.count) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the two pieces are a text.
    fn is_text(one: &[u8], other: &[u8]) -> bool {
        let mut utf8 = Utf8::default();
        utf8.take(one) && utf8.take(other) && utf8.end()
    }

    #[test]
    fn every_cut_says_the_same() {
        for text in ["", "plain", "Grüße, 世界 ✓ 🎉", "\0\u{7ff}\u{ffff}\u{10ffff}"] {
            for cut in 0..=text.len() {
                let (one, other) = text.as_bytes().split_at(cut);
                assert!(is_text(one, other), "{text:?} {cut}");
            }
        }
        for wrong in
            [&b"a\xff"[..], b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe4\xb8", b"\xe4\xb8x", b"\x80"]
        {
            for cut in 0..=wrong.len() {
                let (one, other) = wrong.split_at(cut);
                assert!(!is_text(one, other), "{wrong:x?} {cut}");
            }
        }
    }
}
