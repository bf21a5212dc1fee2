//! Values and tables.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use crossdock_common::{Name, Table, Text, Value};

use super::{RecordError, put_bytes, take_bytes, take_u8, take_u32, take_u64};

/// Deepest nesting that is read back; nothing deeper is ever let in.
const DEPTH_MAX: usize = 64;
/// Levels of a record around what somebody declared.
const RECORD_DEPTH: usize = 4;

/// A table being written.
pub(crate) struct TableWriter(Table);

impl TableWriter {
    pub(crate) fn new() -> Self {
        Self(Table::new())
    }

    pub(crate) fn put(mut self, name: &'static str, value: Value) -> Self {
        self.0.push((Text::from_static(name), value));
        self
    }

    pub(crate) fn text(self, name: &'static str, text: &str) -> Self {
        self.put(name, Value::string(text))
    }

    pub(crate) fn flag(self, name: &'static str, flag: bool) -> Self {
        if flag { self.put(name, Value::Bool(true)) } else { self }
    }

    pub(crate) fn number(self, name: &'static str, number: impl Into<Option<u64>>) -> Self {
        match number.into() {
            Some(number) => self.put(name, Value::U64(number)),
            None => self,
        }
    }

    pub(crate) fn bytes(self, name: &'static str, bytes: &Bytes) -> Self {
        self.put(name, Value::Binary(bytes.clone()))
    }

    pub(crate) fn table(self, name: &'static str, table: &Table) -> Self {
        if table.is_empty() { self } else { self.put(name, Value::Map(table.clone())) }
    }

    pub(crate) fn finish(self) -> Table {
        self.0
    }
}

/// A table being read: what is missing has its default, what is unknown is passed over.
pub(crate) struct TableReader<'a>(pub(crate) &'a Table);

impl TableReader<'_> {
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        crossdock_common::value::lookup(self.0, name)
    }

    pub(crate) fn name(&self, name: &str) -> Name {
        self.value(name).and_then(Value::as_str).map(Name::from).unwrap_or_default()
    }

    pub(crate) fn optional_name(&self, name: &str) -> Option<Name> {
        self.value(name).and_then(Value::as_str).map(Name::from)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.value(name).and_then(Value::as_bool).unwrap_or(false)
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        match self.value(name)? {
            Value::U64(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn bytes(&self, name: &str) -> Option<Bytes> {
        match self.value(name)? {
            Value::Binary(bytes) => Some(bytes.clone()),
            _ => None,
        }
    }

    pub(crate) fn table(&self, name: &str) -> Table {
        match self.value(name) {
            Some(Value::Map(table)) => table.clone(),
            _ => Table::new(),
        }
    }

    pub(crate) fn list(&self, name: &str) -> &[Value] {
        match self.value(name) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }
}

/// Writes a table.
pub(crate) fn encode_table(table: &Table, out: &mut BytesMut) {
    out.put_u32_le(u32::try_from(table.len()).unwrap_or(u32::MAX));
    for (name, value) in table {
        put_bytes(out, name.as_bytes());
        encode_value(value, out);
    }
}

/// Whether a table that stands within a record's own can be read back.
pub(crate) fn can_be_kept(table: &Table) -> bool {
    table.iter().all(|(_, value)| is_at_most(value, DEPTH_MAX - RECORD_DEPTH))
}

fn is_at_most(value: &Value, depth: usize) -> bool {
    let Some(deeper) = depth.checked_sub(1) else { return false };
    match value {
        Value::List(items) => items.iter().all(|item| is_at_most(item, deeper)),
        Value::Map(table) => table.iter().all(|(_, value)| is_at_most(value, deeper)),
        _ => true,
    }
}

/// Reads a table.
pub(crate) fn decode_table(input: &mut Bytes) -> Result<Table, RecordError> {
    decode_entries(input, DEPTH_MAX)
}

fn encode_value(value: &Value, out: &mut BytesMut) {
    match value {
        Value::Null => out.put_u8(0),
        Value::Bool(truth) => out.put_slice(&[1, u8::from(*truth)]),
        Value::I8(n) => out.put_slice(&[2, n.cast_unsigned()]),
        Value::U8(n) => out.put_slice(&[3, *n]),
        Value::I16(n) => tagged(out, 4, &n.to_le_bytes()),
        Value::U16(n) => tagged(out, 5, &n.to_le_bytes()),
        Value::I32(n) => tagged(out, 6, &n.to_le_bytes()),
        Value::U32(n) => tagged(out, 7, &n.to_le_bytes()),
        Value::I64(n) => tagged(out, 8, &n.to_le_bytes()),
        Value::U64(n) => tagged(out, 9, &n.to_le_bytes()),
        Value::F32(n) => tagged(out, 10, &n.to_le_bytes()),
        Value::F64(n) => tagged(out, 11, &n.to_le_bytes()),
        Value::Decimal { scale, value } => {
            out.put_slice(&[12, *scale]);
            out.put_i32_le(*value);
        }
        Value::Timestamp(n) => tagged(out, 13, &n.to_le_bytes()),
        Value::Binary(bytes) => {
            out.put_u8(14);
            put_bytes(out, bytes);
        }
        Value::String(text) => {
            out.put_u8(15);
            put_bytes(out, text.as_bytes());
        }
        Value::List(items) => {
            out.put_u8(16);
            out.put_u32_le(u32::try_from(items.len()).unwrap_or(u32::MAX));
            items.iter().for_each(|item| encode_value(item, out));
        }
        Value::Map(table) => {
            out.put_u8(17);
            encode_table(table, out);
        }
    }
}

fn tagged(out: &mut BytesMut, tag: u8, bytes: &[u8]) {
    out.put_u8(tag);
    out.put_slice(bytes);
}

fn decode_entries(input: &mut Bytes, depth: usize) -> Result<Table, RecordError> {
    let count = take_u32(input)?;
    (0..count).map(|_| Ok((take_text(input)?, decode_value(input, depth)?))).collect()
}

fn decode_value(input: &mut Bytes, depth: usize) -> Result<Value, RecordError> {
    let deeper = depth.checked_sub(1).ok_or(RecordError("nested too deep"))?;
    Ok(match take_u8(input)? {
        0 => Value::Null,
        1 => Value::Bool(take_u8(input)? != 0),
        2 => Value::I8(take_u8(input)?.cast_signed()),
        3 => Value::U8(take_u8(input)?),
        4 => Value::I16(fixed(input.try_get_i16_le())?),
        5 => Value::U16(fixed(input.try_get_u16_le())?),
        6 => Value::I32(fixed(input.try_get_i32_le())?),
        7 => Value::U32(take_u32(input)?),
        8 => Value::I64(fixed(input.try_get_i64_le())?),
        9 => Value::U64(take_u64(input)?),
        10 => Value::F32(fixed(input.try_get_f32_le())?),
        11 => Value::F64(fixed(input.try_get_f64_le())?),
        12 => Value::Decimal { scale: take_u8(input)?, value: fixed(input.try_get_i32_le())? },
        13 => Value::Timestamp(fixed(input.try_get_i64_le())?),
        14 => Value::Binary(take_bytes(input)?),
        15 => Value::String(take_text(input)?),
        16 => {
            let count = take_u32(input)?;
            Value::List((0..count).map(|_| decode_value(input, deeper)).collect::<Result<_, _>>()?)
        }
        17 => Value::Map(decode_entries(input, deeper)?),
        _ => return Err(RecordError("unknown value type")),
    })
}

fn fixed<T>(number: Result<T, bytes::TryGetError>) -> Result<T, RecordError> {
    number.map_err(|_| RecordError("number ends early"))
}

fn take_text(input: &mut Bytes) -> Result<Text, RecordError> {
    Text::try_from(take_bytes(input)?).map_err(|_| RecordError("text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use crossdock_common::testkit::any_value;
    use proptest::prelude::*;

    use super::*;

    fn nested(levels: usize) -> Table {
        let table = |value| vec![(Text::from_static("a"), value)];
        table((1..levels).fold(Value::Bool(true), |inner, _| Value::Map(table(inner))))
    }

    #[test]
    fn what_can_be_kept_can_be_read_back_within_a_record() {
        let deepest = (1..DEPTH_MAX).filter(|levels| can_be_kept(&nested(*levels))).max().expect("some can");
        assert_eq!(deepest, DEPTH_MAX - RECORD_DEPTH);
        let record =
            (0..RECORD_DEPTH).fold(nested(deepest), |inner, _| vec![(Text::from_static("r"), Value::Map(inner))]);
        let mut out = BytesMut::new();
        encode_table(&record, &mut out);
        assert_eq!(decode_table(&mut out.freeze()), Ok(record));
    }

    proptest! {
        #[test]
        fn tables_come_back(values in prop::collection::vec(any_value(), 0..5)) {
            let table: Table = values.into_iter().map(|value| (Text::from_static("name"), value)).collect();
            let mut out = BytesMut::new();
            encode_table(&table, &mut out);
            prop_assert_eq!(decode_table(&mut out.freeze()), Ok(table));
        }

        #[test]
        fn random_bytes_are_refused_or_understood(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode_table(&mut Bytes::from(bytes));
        }
    }
}
