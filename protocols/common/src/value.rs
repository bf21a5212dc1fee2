//! Typed values, as header tables, declaration arguments and application properties hold them.
//!
//! The set is the union of what AMQP 0-9-1 field tables and AMQP 1.0 primitive types can say, so that neither loses a
//! type on its way through the hub.

use bytes::Bytes;

use crate::Text;

/// A value with its exact type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// 8 bits, signed.
    I8(i8),
    /// 8 bits, unsigned.
    U8(u8),
    /// 16 bits, signed.
    I16(i16),
    /// 16 bits, unsigned.
    U16(u16),
    /// 32 bits, signed.
    I32(i32),
    /// 32 bits, unsigned.
    U32(u32),
    /// 64 bits, signed.
    I64(i64),
    /// 64 bits, unsigned.
    U64(u64),
    /// IEEE 754 binary32.
    F32(f32),
    /// IEEE 754 binary64.
    F64(f64),
    /// `value / 10^scale` (AMQP 0-9-1 `D`).
    Decimal { scale: u8, value: i32 },
    /// Milliseconds since 1970. AMQP 0-9-1 carries seconds: its converter multiplies and divides.
    Timestamp(i64),
    /// Bytes without a character set.
    Binary(Bytes),
    /// UTF-8 text.
    String(Text),
    /// An ordered list.
    List(Vec<Value>),
    /// An ordered table.
    Map(Table),
}

/// An ordered list of named values: a header table, the arguments of a declaration. Names may repeat.
pub type Table = Vec<(Text, Value)>;

impl Value {
    /// Text from anything that turns into it.
    pub fn string(text: impl Into<Text>) -> Self {
        Self::String(text.into())
    }

    /// The text of a [`Value::String`].
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number of any integer type that fits.
    pub fn as_i64(&self) -> Option<i64> {
        Some(match *self {
            Self::I8(n) => n.into(),
            Self::U8(n) => n.into(),
            Self::I16(n) => n.into(),
            Self::U16(n) => n.into(),
            Self::I32(n) => n.into(),
            Self::U32(n) => n.into(),
            Self::I64(n) => n,
            Self::U64(n) => i64::try_from(n).ok()?,
            _ => return None,
        })
    }

    /// The truth of a [`Value::Bool`].
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(truth) => Some(truth),
            _ => None,
        }
    }
}

/// The first value called `name`.
pub fn lookup<'a>(table: &'a Table, name: &str) -> Option<&'a Value> {
    table.iter().find(|(key, _)| &**key == name).map(|(_, value)| value)
}
