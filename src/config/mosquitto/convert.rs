//! Values of directives as values of settings. `None` leaves the setting as it is; an error says what was expected.

/// A value of a directive as that of a setting.
pub(super) type Convert = fn(&str) -> Result<Option<String>, &'static str>;

pub(super) fn boolean(value: &str) -> Result<Option<String>, &'static str> {
    match value {
        "true" | "1" => Ok(Some("true".to_owned())),
        "false" | "0" => Ok(Some("false".to_owned())),
        _ => Err("true or false"),
    }
}

pub(super) fn number(value: &str) -> Result<Option<String>, &'static str> {
    match value.parse::<u64>() {
        Ok(number) => Ok(Some(number.to_string())),
        Err(_) => Err("a number"),
    }
}

/// A number of which -1 and 0 mean that there is no bound.
pub(super) fn bound(value: &str) -> Result<Option<String>, &'static str> {
    match value.parse::<i64>() {
        Ok(-1 | 0) => Ok(None),
        Ok(number) if number > 0 => Ok(Some(number.to_string())),
        _ => Err("a number, or -1 for no bound"),
    }
}

/// In-flight messages: 0 for as many as there are packet identifiers.
pub(super) fn in_flight(value: &str) -> Result<Option<String>, &'static str> {
    match value.parse::<u32>() {
        Ok(0) => Ok(Some("65535".to_owned())),
        Ok(number) => Ok(Some(number.min(65_535).to_string())),
        Err(_) => Err("a number"),
    }
}

pub(super) fn seconds(value: &str) -> Result<Option<String>, &'static str> {
    let seconds = value.parse::<u64>().map_err(|_| "a number of seconds")?;
    Ok(Some(seconds.saturating_mul(1_000).to_string()))
}

/// Seconds of a keep-alive: the longest that there is bounds nothing.
pub(super) fn keep_alive(value: &str) -> Result<Option<String>, &'static str> {
    match value.parse::<u16>() {
        Ok(0 | u16::MAX) => Ok(None),
        Ok(seconds) => Ok(Some((u64::from(seconds) * 1_000).to_string())),
        Err(_) => Err("a number of seconds from 0 to 65535"),
    }
}

/// `14d`: hours, days, weeks, months or years.
pub(super) fn time(value: &str) -> Result<Option<String>, &'static str> {
    const EXPECTED: &str = "a number with h, d, w, m or y behind it";
    const HOUR_MS: u64 = 3_600_000;
    let (number, unit) = value.split_at_checked(value.len().saturating_sub(1)).ok_or(EXPECTED)?;
    let unit_ms = match unit {
        "h" => HOUR_MS,
        "d" => 24 * HOUR_MS,
        "w" => 7 * 24 * HOUR_MS,
        "m" => 30 * 24 * HOUR_MS,
        "y" => 365 * 24 * HOUR_MS,
        _ => return Err(EXPECTED),
    };
    let number = number.parse::<u64>().map_err(|_| EXPECTED)?;
    Ok(Some(number.saturating_mul(unit_ms).to_string()))
}

/// A path, as it is.
pub(super) fn path(value: &str) -> Result<Option<String>, &'static str> {
    if value.is_empty() { Err("a file") } else { Ok(Some(value.to_owned())) }
}
