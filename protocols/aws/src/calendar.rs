//! Dates as AWS writes them.

use crossdock_common::UnixMillis;

const DAY_S: i64 = 86_400;

/// `2026-01-02T03:04:05.678Z`.
pub fn iso8601(time: UnixMillis) -> String {
    let seconds = i64::try_from(time.0 / 1000).unwrap_or_default();
    let (year, month, day) = date(seconds.div_euclid(DAY_S));
    let second = seconds.rem_euclid(DAY_S);
    let (hour, minute, second, ms) = (second / 3600, second / 60 % 60, second % 60, time.0 % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Seconds since 1970 of `20260102T030405Z`.
pub(crate) fn read_basic(text: &str) -> Option<i64> {
    let text: &[u8; 16] = text.as_bytes().try_into().ok()?;
    if text[8] != b'T' || text[15] != b'Z' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        text[range].iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    let is_legal = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    is_legal.then(|| days(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second)
}

/// Seconds since 1970 of `2026-01-02T03:04:05Z`, with or without a fraction, seconds, or a time at all, in any time zone.
pub(crate) fn unix_seconds(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let zone_at = time.find(['Z', '+', '-'])?;
    let (time, zone) = time.split_at(zone_at);
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    let seconds = if time.len() == 5 { "00" } else { "" };
    let basic = format!("{}T{}{seconds}Z", date.replace('-', ""), time.replace(':', ""));
    Some(read_basic(&basic)? - zone_seconds(zone)?)
}

fn zone_seconds(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let number = |text: &str, most: i64| text.parse::<i64>().ok().filter(|number| (0..=most).contains(number));
    let seconds = number(hours, 23)? * 3600 + number(minutes, 59)? * 60;
    Some(if zone.starts_with('-') { -seconds } else { seconds })
}

/// Days since 1970 of a date of the Gregorian calendar (H. Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date of a day since 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * month_from_march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_written() {
        assert_eq!(iso8601(UnixMillis(1_440_938_160_000)), "2015-08-30T12:36:00.000Z");
        assert_eq!(read_basic("20150830T123600Z"), Some(1_440_938_160));
        for text in
            ["20150830T123600", "2015x830T123600Z", "2015/830T123600Z", "20151330T123600Z", "20150830 123600Z", ""]
        {
            assert_eq!(read_basic(text), None, "{text}");
        }
    }

    #[test]
    fn times_of_people_are_read() {
        for text in [
            "2015-08-30T12:36:00Z",
            "2015-08-30T12:36:00.999Z",
            "2015-08-30T12:36Z",
            "2015-08-30T14:36:00+02:00",
            "2015-08-30T07:06:00-05:30",
        ] {
            assert_eq!(unix_seconds(text), Some(1_440_938_160), "{text}");
        }
        assert_eq!(unix_seconds("2015-08-30"), Some(1_440_892_800));
        for text in ["", "2015", "2015-08-30T", "2015-08-30T12:36:00", "2015-08-30T12:36:00+2", "2015-13-30"] {
            assert_eq!(unix_seconds(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_comes_back() {
        for day in (-800_000..800_000).step_by(97) {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), day);
        }
        assert_eq!(date(0), (1970, 1, 1));
    }
}
