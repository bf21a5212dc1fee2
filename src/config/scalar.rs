//! How single values are read from text or TOML, and shown again.

use std::net::IpAddr;
use std::path::PathBuf;

use super::secret::Secret;
use super::tree::Value;
use super::units::{ByteSize, MemoryLimit, Milliseconds};

/// A setting that is one value.
pub trait Scalar: Sized {
    /// True for values that are refused on the command line and never quoted.
    const SECRET: bool = false;

    /// What a value looks like, for "expected …".
    fn expected() -> String;

    /// The typed value, or `None` when it does not look as expected.
    fn parse(value: &Value) -> Option<Self>;

    /// The value as TOML, or `None` when there is nothing to show (unset).
    fn to_toml(&self) -> Option<String>;

    /// What an element of an array that is no such value should be, and the index of the first that is not; `None` if that is not
    /// what is wrong.
    fn wrong_element(_: &Value) -> Option<(&'static str, usize)> {
        None
    }

    /// What a declared range bounds: the number itself, or the length of a text. `None` is not bounded.
    fn magnitude(&self) -> Option<u64> {
        None
    }

    /// A magnitude in the setting's own unit.
    fn show_magnitude(magnitude: u64) -> String {
        magnitude.to_string()
    }
}

/// The text of a string value. On the command line and in the environment TOML's quotes may be left out.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.to_string()),
        Value::Text(text) => Some(unquoted(text).to_owned()),
        _ => None,
    }
}

fn unquoted(text: &str) -> &str {
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

fn integer_of(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(integer) => u64::try_from(*integer).ok(),
        Value::Text(text) => text.trim().replace('_', "").parse().ok(),
        _ => None,
    }
}

/// Text as a TOML basic string. Rust and TOML escape alike, but for control characters, which no default has.
pub fn quoted(text: &str) -> String {
    format!("{text:?}")
}

macro_rules! integer_scalar {
    ($($type:ty),*) => { $(
        impl Scalar for $type {
            fn expected() -> String {
                format!("an integer from {} to {}", Self::MIN, Self::MAX)
            }
            fn parse(value: &Value) -> Option<Self> {
                integer_of(value)?.try_into().ok()
            }
            fn to_toml(&self) -> Option<String> {
                Some(self.to_string())
            }
            fn magnitude(&self) -> Option<u64> {
                Some(u64::from(*self))
            }
        }
    )* };
}

integer_scalar!(u16, u32, u64);

impl Scalar for bool {
    fn expected() -> String {
        "true or false".into()
    }
    fn parse(value: &Value) -> Option<Self> {
        match value {
            Value::Boolean(boolean) => Some(*boolean),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
    fn to_toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Scalar for String {
    fn expected() -> String {
        "a string".into()
    }
    fn parse(value: &Value) -> Option<Self> {
        text_of(value)
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(self))
    }
    fn magnitude(&self) -> Option<u64> {
        Some(self.len() as u64)
    }
    fn show_magnitude(magnitude: u64) -> String {
        format!("{magnitude} bytes of text")
    }
}

impl Scalar for Secret {
    const SECRET: bool = true;

    fn expected() -> String {
        "a string".into()
    }
    fn parse(value: &Value) -> Option<Self> {
        text_of(value).map(Self::new)
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
    fn magnitude(&self) -> Option<u64> {
        Some(self.expose().len() as u64)
    }
    fn show_magnitude(magnitude: u64) -> String {
        String::show_magnitude(magnitude)
    }
}

impl Scalar for PathBuf {
    fn expected() -> String {
        "a path".into()
    }
    fn parse(value: &Value) -> Option<Self> {
        text_of(value).filter(|text| !text.is_empty()).map(Self::from)
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(&self.to_string_lossy()))
    }
}

impl Scalar for IpAddr {
    fn expected() -> String {
        "an IP address such as \"127.0.0.1\", \"0.0.0.0\" or \"::1\"".into()
    }
    fn parse(value: &Value) -> Option<Self> {
        text_of(value)?.trim().parse().ok()
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl Scalar for ByteSize {
    fn expected() -> String {
        "a size: an integer number of bytes, or text such as \"16MiB\" (B, KiB, MiB, GiB)".into()
    }
    fn parse(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(_) => integer_of(value).map(Self),
            _ => Self::parse(&text_of(value)?),
        }
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
    fn magnitude(&self) -> Option<u64> {
        Some(self.0)
    }
    fn show_magnitude(magnitude: u64) -> String {
        Self(magnitude).to_string()
    }
}

impl Scalar for MemoryLimit {
    fn expected() -> String {
        format!("\"auto\", or {}", ByteSize::expected())
    }
    fn parse(value: &Value) -> Option<Self> {
        match text_of(value) {
            Some(text) if text.trim() == "auto" => Some(Self::Auto),
            _ => <ByteSize as Scalar>::parse(value).map(Self::Bytes),
        }
    }
    fn to_toml(&self) -> Option<String> {
        match self {
            Self::Auto => Some(quoted("auto")),
            Self::Bytes(bytes) => bytes.to_toml(),
        }
    }
    fn magnitude(&self) -> Option<u64> {
        match self {
            Self::Auto => None,
            Self::Bytes(bytes) => bytes.magnitude(),
        }
    }
    fn show_magnitude(magnitude: u64) -> String {
        <ByteSize as Scalar>::show_magnitude(magnitude)
    }
}

impl Scalar for Milliseconds {
    fn expected() -> String {
        "an integer number of milliseconds".into()
    }
    fn parse(value: &Value) -> Option<Self> {
        integer_of(value).map(Self)
    }
    fn to_toml(&self) -> Option<String> {
        Some(self.0.to_string())
    }
    fn magnitude(&self) -> Option<u64> {
        Some(self.0)
    }
}

impl<T: Scalar> Scalar for Option<T> {
    const SECRET: bool = T::SECRET;

    fn expected() -> String {
        T::expected()
    }
    fn parse(value: &Value) -> Option<Self> {
        T::parse(value).map(Some)
    }
    fn to_toml(&self) -> Option<String> {
        self.as_ref().and_then(T::to_toml)
    }
    fn wrong_element(value: &Value) -> Option<(&'static str, usize)> {
        T::wrong_element(value)
    }
    fn magnitude(&self) -> Option<u64> {
        self.as_ref().and_then(T::magnitude)
    }
    fn show_magnitude(magnitude: u64) -> String {
        T::show_magnitude(magnitude)
    }
}

impl Scalar for Vec<String> {
    fn expected() -> String {
        "an array of strings".into()
    }
    fn parse(value: &Value) -> Option<Self> {
        let Value::Array(nodes) = value else { return None };
        nodes.iter().map(|node| text_of(&node.value)).collect()
    }
    fn to_toml(&self) -> Option<String> {
        let texts: Vec<String> = self.iter().map(|text| quoted(text)).collect();
        Some(format!("[{}]", texts.join(", ")))
    }
    fn wrong_element(value: &Value) -> Option<(&'static str, usize)> {
        Some(("a string", first_unlike(value, |_| true)?))
    }
}

/// The index of the first element of an array that is no text, or none of those.
pub fn first_unlike(value: &Value, is_one: impl Fn(String) -> bool) -> Option<usize> {
    let Value::Array(nodes) = value else { return None };
    nodes.iter().position(|node| !text_of(&node.value).is_some_and(&is_one))
}

/// Declares an enum whose variants are words in the file.
macro_rules! choice {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
        pub enum $name { $($(#[$variant_meta])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// The word that stands for this choice in the configuration.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl $crate::config::scalar::Scalar for $name {
            fn expected() -> String {
                let words: &[&str] = &[$($word),*];
                format!("one of \"{}\"", words.join("\", \""))
            }
            fn parse(value: &$crate::config::tree::Value) -> Option<Self> {
                match String::parse(value)?.as_str() {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
            fn to_toml(&self) -> Option<String> {
                Some($crate::config::scalar::quoted(self.word()))
            }
        }
    };
}

pub(crate) use choice;
