//! Sizes and durations, which are both numbers and must not be swapped.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// 1,024 bytes.
pub const KIB: u64 = 1024;
/// 1,024 KiB.
pub const MIB: u64 = 1024 * KIB;
/// 1,024 MiB.
pub const GIB: u64 = 1024 * MIB;

/// Unit suffixes of a size, largest first.
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", GIB), ("MiB", MIB), ("KiB", KIB), ("B", 1)];

/// A number of bytes. The file takes an integer, or text such as `"16MiB"` (B, KiB, MiB, GiB).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// The bytes as a length in memory; saturates where `usize` is smaller than 64 bits.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// Reads `16MiB`, `512 KiB` or `1000`; `None` when it is not a size or exceeds 64 bits.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let with_unit = SIZE_UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
        let (number, bytes) = with_unit.unwrap_or((text, 1));
        number.trim_end().parse::<u64>().ok()?.checked_mul(bytes).map(Self)
    }
}

/// Shows the largest unit that divides the size evenly: `16MiB`.
impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let even = |(_, bytes): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*bytes);
        let (unit, bytes) = SIZE_UNITS.iter().find(even).unwrap_or(&("B", 1));
        write!(formatter, "{}{unit}", self.0 / bytes)
    }
}

/// A bound on memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum MemoryLimit {
    /// Found out from what the machine has.
    Auto,
    /// So much; 0 is no bound.
    Bytes(ByteSize),
}

/// A duration in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Milliseconds(pub u64);

impl Milliseconds {
    /// The same span as the standard library's type.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_back_as_they_are_shown() {
        for (text, bytes) in [("16MiB", 16 * MIB), ("8KiB", 8192), ("1000B", 1000), ("3GiB", 3 * GIB), ("0B", 0)] {
            assert_eq!(ByteSize::parse(text), Some(ByteSize(bytes)), "{text}");
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
        assert_eq!(ByteSize::parse(" 512 KiB"), Some(ByteSize(512 * KIB)));
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in ["", "MiB", "-1", "1.5MiB", "16MB", "16mib", "99999999999999999999", "18446744073709551615KiB"] {
            assert_eq!(ByteSize::parse(text), None, "{text}");
        }
    }
}
