//! Data of a shape that can be told: electronic mail and IP addresses, numbers of credit cards and of US social security.

use core::net::IpAddr;

/// Kinds of data that are found; every other managed identifier finds nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identifier {
    EmailAddress,
    CreditCardNumber,
    IpAddress,
    SsnUs,
}

impl Identifier {
    /// By AWS's name.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "EmailAddress" => Some(Self::EmailAddress),
            "CreditCardNumber" => Some(Self::CreditCardNumber),
            "IpAddress" => Some(Self::IpAddress),
            "Ssn-US" => Some(Self::SsnUs),
            _ => None,
        }
    }

    pub(super) fn is_in(self, text: &str) -> bool {
        self.next(text).is_some()
    }

    /// The text with something else in place of what is found.
    pub(super) fn replace(self, text: &str, with: &dyn Fn(&str) -> String) -> String {
        let (mut rest, mut replaced) = (text, String::with_capacity(text.len()));
        while let Some((start, end)) = self.next(rest) {
            replaced.push_str(&rest[..start]);
            replaced.push_str(&with(&rest[start..end]));
            rest = &rest[end..];
        }
        replaced + rest
    }

    /// Where the first one begins and ends.
    fn next(self, text: &str) -> Option<(usize, usize)> {
        let mut from = 0;
        while let Some((start, end)) = self.candidate(&text[from..]) {
            let (start, end) = (from + start, from + end);
            if self.is_one(&text[start..end]) {
                return Some((start, end));
            }
            from = end;
        }
        None
    }

    /// The next run of characters that it could be made of, without punctuation around it.
    fn candidate(self, text: &str) -> Option<(usize, usize)> {
        let belongs = |character: char| match self {
            Self::EmailAddress => character.is_ascii_alphanumeric() || "._%+-@".contains(character),
            Self::CreditCardNumber => character.is_ascii_digit() || " -".contains(character),
            Self::IpAddress => character.is_ascii_hexdigit() || ".:".contains(character),
            Self::SsnUs => character.is_ascii_digit() || character == '-',
        };
        let start = text.find(|character| belongs(character) && !is_punctuation(character))?;
        let run = &text[start..];
        let run = &run[..run.find(|character| !belongs(character)).unwrap_or(run.len())];
        Some((start, start + run.trim_end_matches(is_punctuation).len()))
    }

    fn is_one(self, text: &str) -> bool {
        match self {
            Self::EmailAddress => is_email(text),
            Self::CreditCardNumber => is_card(text),
            Self::IpAddress => text.parse::<IpAddr>().is_ok(),
            Self::SsnUs => is_ssn(text),
        }
    }
}

fn is_punctuation(character: char) -> bool {
    ". -:".contains(character)
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let Some((name, top)) = domain.rsplit_once('.') else { return false };
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    !local.is_empty()
        && !local.contains("..")
        && name.split('.').all(is_label)
        && top.len() >= 2
        && top.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// 13 to 19 digits, in groups or not, whose last one is right (Luhn).
fn is_card(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|character| character.to_digit(10)).collect();
    let is_grouped = text.split([' ', '-']).all(|group| group.len() >= 3);
    let sum: u32 = digits.iter().rev().enumerate().map(|(index, digit)| luhn(*digit, index % 2 == 1)).sum();
    (13..=19).contains(&digits.len()) && is_grouped && sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != 0)
}

fn luhn(digit: u32, is_doubled: bool) -> u32 {
    match digit * 2 {
        _ if !is_doubled => digit,
        double if double > 9 => double - 9,
        double => double,
    }
}

/// `123-45-6789`; some numbers were never given to anybody.
fn is_ssn(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [area, group, serial] = parts[..] else { return false };
    let is_given = !["000", "666"].contains(&area) && !area.starts_with('9') && group != "00" && serial != "0000";
    (area.len(), group.len(), serial.len()) == (3, 2, 4) && is_given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finds_its_own() {
        for (identifier, good, bad) in [
            (Identifier::EmailAddress, "<a@b.co>", "a@b"),
            (Identifier::EmailAddress, "at x.y+z@mail.example.org.", "@example.org"),
            (Identifier::CreditCardNumber, "4111111111111111", "4111111111111112"),
            (Identifier::CreditCardNumber, "card 5500-0000-0000-0004!", "5500"),
            (Identifier::IpAddress, "from 192.168.0.1.", "from 192.168.0.256"),
            (Identifier::IpAddress, "[2001:db8::1]", "12:30"),
            (Identifier::SsnUs, "ssn: 123-45-6789", "000-45-6789"),
            (Identifier::SsnUs, "(123-45-6789)", "123-456-789"),
        ] {
            assert!(identifier.is_in(good), "{identifier:?} in {good}");
            assert!(!identifier.is_in(bad), "{identifier:?} not in {bad}");
        }
        assert_eq!(Identifier::of("Ssn-US"), Some(Identifier::SsnUs));
        assert_eq!(Identifier::of("Name"), None);
    }

    #[test]
    fn all_of_them_are_replaced() {
        let text = "ä a@b.co ö c@d.eu";
        assert_eq!(Identifier::EmailAddress.replace(text, &|_| "*".to_owned()), "ä * ö *");
    }
}
