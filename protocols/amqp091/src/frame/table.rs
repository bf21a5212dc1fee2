//! Field tables and arrays (section 4.2.5.5, with RabbitMQ's type letters).
//!
//! [`check`] walks a table without allocating; [`decode`] builds values. Both go down a bounded number of levels and count
//! entries, so neither a deep nor a dense table costs more than the limits say.

use bytes::{BufMut, Bytes};
use crossdock_common::{Limits, Table, Text, Value};
use nom::Parser as _;
use nom::bytes::complete::take;
use nom::number::complete::{be_f32, be_f64, be_i8, be_i16, be_i32, be_i64, be_u8, be_u16, be_u32, be_u64};

use super::wire::{Malformed, Parsed, fail, long, put_long, put_short, short, short_len, whole};

/// No configuration allows deeper tables: each level costs stack.
pub const DEPTH_CEILING: usize = 128;

/// What a table may cost.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    depth: usize,
    entries: usize,
}

impl Budget {
    /// As the limits say.
    pub fn new(limits: &Limits) -> Self {
        Self { depth: limits.table_depth_max.min(DEPTH_CEILING), entries: limits.table_entries_max }
    }

    /// For what was checked before it was stored.
    pub fn checked() -> Self {
        Self { depth: DEPTH_CEILING, entries: usize::MAX }
    }

    fn enter(&mut self) -> Result<(), Malformed> {
        self.depth = self.depth.checked_sub(1).ok_or(Malformed("field table is nested too deeply"))?;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth += 1;
    }

    fn count(&mut self) -> Result<(), Malformed> {
        self.entries = self.entries.checked_sub(1).ok_or(Malformed("field table has too many entries"))?;
        Ok(())
    }
}

/// One value, not decoded yet. `bytes` is the content without length prefix for strings, tables and arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    /// The type letter.
    pub letter: u8,
    /// The value.
    pub bytes: &'a [u8],
}

impl<'a> Raw<'a> {
    /// The number of any integer type that fits.
    pub fn as_i64(self) -> Option<i64> {
        matches!(self.letter, b'b' | b'B' | b's' | b'u' | b'I' | b'i' | b'l' | b'L')
            .then(|| scalar(self).ok()?.as_i64())
            .flatten()
    }

    /// The truth of a `t`.
    pub fn as_bool(self) -> Option<bool> {
        (self.letter == b't').then(|| self.bytes != [0])
    }

    /// The items of an `A`.
    pub fn items(self) -> Option<Items<'a>> {
        (self.letter == b'A').then_some(Items(self.bytes))
    }

    /// The entries of an `F`.
    pub fn entries(self) -> Option<Entries<'a>> {
        (self.letter == b'F').then_some(Entries(self.bytes))
    }
}

/// The entries of a table's content: name, value, and the entry's own bytes. Ends after the first malformed one.
#[derive(Clone, Debug)]
pub struct Entries<'a>(pub &'a [u8]);

/// One entry of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name; usually UTF-8.
    pub name: &'a [u8],
    /// Its value.
    pub value: Raw<'a>,
    /// Name and value as they stand in the table.
    pub bytes: &'a [u8],
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let whole = std::mem::take(&mut self.0);
        Some((short, raw).parse(whole).map_err(reason).map(|(rest, (name, value))| {
            self.0 = rest;
            Entry { name, value, bytes: whole.get(..whole.len() - rest.len()).unwrap_or_default() }
        }))
    }
}

/// The items of an array's content. Ends after the first malformed one.
#[derive(Clone, Debug)]
pub struct Items<'a>(&'a [u8]);

impl<'a> Iterator for Items<'a> {
    type Item = Result<Raw<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let whole = std::mem::take(&mut self.0);
        Some(raw(whole).map_err(reason).map(|(rest, value)| {
            self.0 = rest;
            value
        }))
    }
}

fn reason(error: nom::Err<Malformed>) -> Malformed {
    match error {
        nom::Err::Error(malformed) | nom::Err::Failure(malformed) => malformed,
        nom::Err::Incomplete(_) => Malformed("field table is cut short"),
    }
}

/// RabbitMQ's name of a type.
pub(crate) fn type_name(letter: u8) -> &'static str {
    match letter {
        b't' => "bool",
        b'b' => "byte",
        b'B' => "unsignedbyte",
        b's' => "short",
        b'u' => "unsignedshort",
        b'I' => "signedint",
        b'i' => "unsignedint",
        b'l' | b'L' => "long",
        b'f' => "float",
        b'd' => "double",
        b'D' => "decimal",
        b'T' => "timestamp",
        b'x' => "binary",
        b'A' => "array",
        b'F' => "table",
        b'S' => "longstr",
        _ => "void",
    }
}

/// One value with its letter.
fn raw(input: &[u8]) -> Parsed<'_, Raw<'_>> {
    let (input, letter) = be_u8(input)?;
    let (rest, bytes) = match letter {
        b'V' => (input, &[][..]),
        b't' | b'b' | b'B' => take(1usize).parse(input)?,
        b's' | b'u' => take(2usize).parse(input)?,
        b'I' | b'i' | b'f' => take(4usize).parse(input)?,
        b'D' => take(5usize).parse(input)?,
        b'l' | b'L' | b'd' | b'T' => take(8usize).parse(input)?,
        b'S' | b'x' | b'F' | b'A' => long(input)?,
        _ => return fail("field table has an unknown type"),
    };
    Ok((rest, Raw { letter, bytes }))
}

/// Whether a table's content is well formed and within its budget; allocates nothing.
pub fn check(content: &[u8], budget: &mut Budget) -> Result<(), Malformed> {
    budget.enter()?;
    for entry in Entries(content) {
        check_value(entry?.value, budget)?;
    }
    budget.leave();
    Ok(())
}

fn check_value(value: Raw<'_>, budget: &mut Budget) -> Result<(), Malformed> {
    budget.count()?;
    if value.letter == b'F' {
        return check(value.bytes, budget);
    }
    let Some(items) = value.items() else { return Ok(()) };
    budget.enter()?;
    for item in items {
        check_value(item?, budget)?;
    }
    budget.leave();
    Ok(())
}

/// A table from its content. Strings are slices of `source`, of which `content` must be a part.
pub fn decode(source: &Bytes, content: &[u8], budget: &mut Budget) -> Result<Table, Malformed> {
    budget.enter()?;
    let mut table = Table::new();
    for entry in Entries(content) {
        let entry = entry?;
        table.push((lossy_text(source, entry.name), decode_value(source, entry.value, budget)?));
    }
    budget.leave();
    Ok(table)
}

/// A table of arguments that will be kept: copied once, so that it does not hold on to the read buffer.
pub fn decode_copy(content: &[u8], limits: &Limits) -> Result<Table, Malformed> {
    let source = Bytes::copy_from_slice(content);
    decode(&source, &source, &mut Budget::new(limits))
}

fn decode_value(source: &Bytes, value: Raw<'_>, budget: &mut Budget) -> Result<Value, Malformed> {
    budget.count()?;
    Ok(match value.letter {
        b'S' => text_or_binary(source, value.bytes),
        b'x' => Value::Binary(source.slice_ref(value.bytes)),
        b'F' => Value::Map(decode(source, value.bytes, budget)?),
        b'A' => Value::List(decode_items(source, value, budget)?),
        _ => scalar(value)?,
    })
}

fn decode_items(source: &Bytes, value: Raw<'_>, budget: &mut Budget) -> Result<Vec<Value>, Malformed> {
    budget.enter()?;
    let items = value.items().into_iter().flatten();
    let list = items.map(|item| decode_value(source, item?, budget)).collect::<Result<_, _>>()?;
    budget.leave();
    Ok(list)
}

fn scalar(value: Raw<'_>) -> Result<Value, Malformed> {
    let bytes = value.bytes;
    Ok(match value.letter {
        b'V' => Value::Null,
        b't' => Value::Bool(bytes != [0]),
        b'b' => Value::I8(whole(bytes, be_i8)?),
        b'B' => Value::U8(whole(bytes, be_u8)?),
        b's' => Value::I16(whole(bytes, be_i16)?),
        b'u' => Value::U16(whole(bytes, be_u16)?),
        b'I' => Value::I32(whole(bytes, be_i32)?),
        b'i' => Value::U32(whole(bytes, be_u32)?),
        b'l' | b'L' => Value::I64(whole(bytes, be_i64)?),
        b'f' => Value::F32(whole(bytes, be_f32)?),
        b'd' => Value::F64(whole(bytes, be_f64)?),
        b'T' => Value::Timestamp(whole(bytes, be_u64)?.cast_signed().saturating_mul(1000)),
        b'D' => {
            whole(bytes, |input| (be_u8, be_i32).parse(input)).map(|(scale, value)| Value::Decimal { scale, value })?
        }
        _ => return Err(Malformed("field table has an unknown type")),
    })
}

/// Text as a slice of `source`; bytes that are not UTF-8 are replaced, as JSON and other text protocols will need them.
pub fn lossy_text(source: &Bytes, bytes: &[u8]) -> Text {
    Text::try_from(source.slice_ref(bytes)).unwrap_or_else(|_| Text::from(String::from_utf8_lossy(bytes).into_owned()))
}

/// Text as a slice of `source`, or bytes if it is not UTF-8.
pub fn text_or_binary(source: &Bytes, bytes: &[u8]) -> Value {
    let slice = source.slice_ref(bytes);
    Text::try_from(slice.clone()).map_or(Value::Binary(slice), Value::String)
}

/// Bytes of a table, its length prefix included.
pub fn encoded_len(table: &Table) -> usize {
    4 + content_len(table)
}

/// Bytes of a table's content.
pub fn content_len(table: &Table) -> usize {
    table.iter().map(|(name, value)| short_len(name.as_bytes()) + value_len(value)).sum()
}

/// Writes a table with its length.
pub fn put(buffer: &mut impl BufMut, table: &Table) {
    buffer.put_u32(u32::try_from(content_len(table)).unwrap_or(u32::MAX));
    put_content(buffer, table);
}

/// Writes a table's entries.
pub fn put_content(buffer: &mut impl BufMut, table: &Table) {
    for (name, value) in table {
        put_short(buffer, name.as_bytes());
        put_value(buffer, value);
    }
}

fn value_len(value: &Value) -> usize {
    1 + match value {
        Value::Null => 0,
        Value::Bool(_) | Value::I8(_) | Value::U8(_) => 1,
        Value::I16(_) | Value::U16(_) => 2,
        Value::I32(_) | Value::U32(_) | Value::F32(_) => 4,
        Value::Decimal { .. } => 5,
        Value::I64(_) | Value::F64(_) | Value::Timestamp(_) => 8,
        Value::U64(number) => i64::try_from(*number).map_or_else(|_| 4 + number.to_string().len(), |_| 8),
        Value::Binary(bytes) => 4 + bytes.len(),
        Value::String(text) => 4 + text.len(),
        Value::List(items) => 4 + items.iter().map(value_len).sum::<usize>(),
        Value::Map(table) => encoded_len(table),
    }
}

fn put_value(buffer: &mut impl BufMut, value: &Value) {
    match value {
        Value::Null => buffer.put_u8(b'V'),
        Value::Bool(truth) => put_fixed(buffer, b't', &[u8::from(*truth)]),
        Value::I8(n) => put_fixed(buffer, b'b', &n.to_be_bytes()),
        Value::U8(n) => put_fixed(buffer, b'B', &n.to_be_bytes()),
        Value::I16(n) => put_fixed(buffer, b's', &n.to_be_bytes()),
        Value::U16(n) => put_fixed(buffer, b'u', &n.to_be_bytes()),
        Value::I32(n) => put_fixed(buffer, b'I', &n.to_be_bytes()),
        Value::U32(n) => put_fixed(buffer, b'i', &n.to_be_bytes()),
        Value::I64(n) => put_fixed(buffer, b'l', &n.to_be_bytes()),
        Value::U64(n) => put_u64(buffer, *n),
        Value::F32(n) => put_fixed(buffer, b'f', &n.to_be_bytes()),
        Value::F64(n) => put_fixed(buffer, b'd', &n.to_be_bytes()),
        Value::Timestamp(ms) => put_fixed(buffer, b'T', &ms.div_euclid(1000).to_be_bytes()),
        Value::Decimal { scale, value } => {
            put_fixed(buffer, b'D', &[*scale]);
            buffer.put_i32(*value);
        }
        Value::Binary(bytes) => put_lengthy(buffer, b'x', bytes),
        Value::String(text) => put_lengthy(buffer, b'S', text.as_bytes()),
        Value::List(items) => put_list(buffer, items),
        Value::Map(table) => {
            buffer.put_u8(b'F');
            put(buffer, table);
        }
    }
}

/// Clients know no unsigned 64-bit type (an unknown letter makes amqp091-go close the connection): a number too large for
/// the signed one is written as text.
fn put_u64(buffer: &mut impl BufMut, number: u64) {
    match i64::try_from(number) {
        Ok(signed) => put_fixed(buffer, b'l', &signed.to_be_bytes()),
        Err(_) => put_lengthy(buffer, b'S', number.to_string().as_bytes()),
    }
}

fn put_list(buffer: &mut impl BufMut, items: &[Value]) {
    buffer.put_u8(b'A');
    buffer.put_u32(u32::try_from(items.iter().map(value_len).sum::<usize>()).unwrap_or(u32::MAX));
    for item in items {
        put_value(buffer, item);
    }
}

fn put_fixed(buffer: &mut impl BufMut, letter: u8, bytes: &[u8]) {
    buffer.put_u8(letter);
    buffer.put_slice(bytes);
}

fn put_lengthy(buffer: &mut impl BufMut, letter: u8, bytes: &[u8]) {
    buffer.put_u8(letter);
    put_long(buffer, bytes);
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
