//! Lengths of time as RabbitMQ's streams write them: a number and a unit, as in `7D`.

/// What the units stand for, in milliseconds: years, months, days, hours, minutes, seconds.
const UNITS: [(char, u64); 6] =
    [('Y', 31_536_000_000), ('M', 2_592_000_000), ('D', 86_400_000), ('h', 3_600_000), ('m', 60_000), ('s', 1_000)];

/// The length in milliseconds; `None` if it is none. A number so large that it means for ever is cut.
pub fn parse_age_ms(text: &str) -> Option<u64> {
    let (unit, ms) = UNITS.into_iter().find(|(unit, _)| text.ends_with(*unit))?;
    let digits = text.strip_suffix(unit).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some(digits.parse::<u64>().ok()?.saturating_mul(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_numbers_with_units() {
        let ages = [
            ("1Y", 31_536_000_000),
            ("2M", 5_184_000_000),
            ("7D", 604_800_000),
            ("1h", 3_600_000),
            ("5m", 300_000),
            ("0s", 0),
        ];
        for (text, ms) in ages {
            assert_eq!(parse_age_ms(text), Some(ms), "{text}");
        }
        for text in ["", "7", "D", "7d", "-1h", "+1h", "1.5h", "7DD", "sometimes", "99999999999999999999s"] {
            assert_eq!(parse_age_ms(text), None, "{text}");
        }
        assert_eq!(parse_age_ms("18446744073709551615Y"), Some(u64::MAX));
    }
}
