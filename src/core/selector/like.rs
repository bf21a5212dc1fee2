//! `LIKE`: `%` is any text, `_` is any character.

/// A pattern that was read.
#[derive(Debug)]
pub(super) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Any,
    One,
    Exactly(char),
}

/// Most comparisons of characters for one text: beyond that, whether it is like the pattern is not known.
const STEPS_MAX: usize = 1 << 16;

impl Pattern {
    /// Reads a pattern; what follows `escape` stands for itself.
    pub(super) fn new(pattern: &str, escape: Option<char>) -> Result<Self, &'static str> {
        let mut parts = Vec::new();
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            let part = match character {
                _ if Some(character) == escape => {
                    Part::Exactly(characters.next().ok_or("nothing after the escape character")?)
                }
                '%' if parts.last() == Some(&Part::Any) => continue,
                '%' => Part::Any,
                '_' => Part::One,
                other => Part::Exactly(other),
            };
            parts.push(part);
        }
        Ok(Self { parts })
    }

    /// Whether the text is like that; `None` if that takes too long to find out.
    ///
    /// After a mismatch only the last `%` takes one character more: what was before it need not be tried again.
    pub(super) fn is_like(&self, text: &str) -> Option<bool> {
        let (mut rest, mut at, mut retry) = (text.chars(), 0, None);
        for _ in 0..STEPS_MAX {
            let here = rest.clone();
            let next = rest.next();
            match (self.parts.get(at), next) {
                (Some(Part::Any), _) => {
                    at += 1;
                    retry = Some((at, here.clone()));
                    rest = here;
                    continue;
                }
                (None, None) => return Some(true),
                (Some(Part::One), Some(_)) => {
                    at += 1;
                    continue;
                }
                (Some(Part::Exactly(wanted)), Some(found)) if *wanted == found => {
                    at += 1;
                    continue;
                }
                _ => {}
            }
            let Some((part, from)) = &mut retry else { return Some(false) };
            if from.next().is_none() {
                return Some(false);
            }
            (at, rest) = (*part, from.clone());
        }
        None
    }
}
