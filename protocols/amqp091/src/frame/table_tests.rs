use crossdock_common::testkit::any_value;
use proptest::prelude::*;

use super::*;

fn nested(depth: usize) -> Vec<u8> {
    let mut content = Vec::new();
    for _ in 1..depth {
        let mut outer = vec![1, b'a', b'F'];
        outer.extend_from_slice(&(content.len() as u32).to_be_bytes());
        outer.extend_from_slice(&content);
        content = outer;
    }
    content
}

fn limited(depth: usize, entries: usize) -> Budget {
    Budget::new(&Limits { table_depth_max: depth, table_entries_max: entries, ..Limits::default() })
}

#[test]
fn depth_at_the_limit_and_beyond() {
    for (depth, fits) in [(31, true), (32, true), (33, false)] {
        assert_eq!(check(&nested(depth), &mut limited(32, 1024)).is_ok(), fits);
        assert_eq!(decode_copy(&nested(depth), &Limits::default()).is_ok(), fits);
    }
    let arrays: Vec<u8> = (0..40u32)
        .rev()
        .fold(Vec::new(), |inner, _| [&[b'A'][..], &(inner.len() as u32).to_be_bytes(), &inner].concat());
    assert!(check(&[&[0][..], &arrays].concat(), &mut limited(32, 1024)).is_err());
}

#[test]
fn ten_thousand_levels_cost_neither_stack_nor_memory() {
    // Built directly: every level's length is what is left.
    let mut content = Vec::new();
    for level in 0..10_000u32 {
        content.extend_from_slice(&[0, b'F']);
        content.extend_from_slice(&((10_000 - level - 1) * 6).to_be_bytes());
    }
    assert_eq!(check(&content, &mut limited(usize::MAX, 1 << 20)), Err(Malformed("field table is nested too deeply")));
}

#[test]
fn entries_at_the_limit_and_beyond() {
    for (count, fits) in [(1023, true), (1024, true), (1025, false)] {
        let content = [1, b'a', b'V'].repeat(count);
        assert_eq!(check(&content, &mut limited(32, 1024)).is_ok(), fits);
        assert_eq!(decode_copy(&content, &Limits::default()).is_ok(), fits);
        let array = [&[0, b'A'][..], &((count - 1) as u32).to_be_bytes(), &vec![b'V'; count - 1]].concat();
        assert_eq!(check(&array, &mut limited(32, 1024)).is_ok(), fits);
    }
}

#[test]
fn hostile_lengths_and_letters_are_refused() {
    let hostile: [&[u8]; 7] = [
        &[1, b'a', b'S', 0xFF, 0xFF, 0xFF, 0xFF],
        &[1, b'a', b'S', 0x80, 0, 0, 0, 1],
        &[1, b'a', b'F', 0, 0, 0, 9, 1],
        &[1, b'a', b'A', 0, 0, 0, 1, b'?'],
        &[1, b'a', b'Z'],
        &[1, b'a'],
        &[200, b'a'],
    ];
    for content in hostile {
        assert!(check(content, &mut limited(32, 1024)).is_err());
        assert!(decode_copy(content, &Limits::default()).is_err());
    }
}

#[test]
fn odd_but_legal_values_are_kept() {
    let content = [
        &[1, b'd', b'D', 255, 0xFF, 0xFF, 0xFF, 0xFF][..],
        &[1, b'n', b'd', 0x7F, 0xF8, 0, 0, 0, 0, 0, 0],
        &[1, b'e', b'A', 0, 0, 0, 0],
        &[1, b'e', b't', 1],
        &[1, b's', b'S', 0, 0, 0, 1, 0xFF],
    ]
    .concat();
    let table = decode_copy(&content, &Limits::default()).unwrap();
    assert_eq!(table[0].1, Value::Decimal { scale: 255, value: -1 });
    assert!(matches!(table[1].1, Value::F64(number) if number.is_nan()));
    assert_eq!(table[2], ("e".into(), Value::List(vec![])));
    assert_eq!(table[3], ("e".into(), Value::Bool(true)), "duplicate names stay");
    assert_eq!(table[4].1, Value::Binary(Bytes::from_static(&[0xFF])));
}

/// What AMQP 0-9-1 makes of a value: it has no unsigned 64-bit type.
pub(crate) fn expressible(value: Value) -> Value {
    match value {
        Value::U64(n) => i64::try_from(n).map_or_else(|_| Value::string(n.to_string()), Value::I64),
        Value::List(items) => Value::List(items.into_iter().map(expressible).collect()),
        Value::Map(table) => Value::Map(table.into_iter().map(|(name, value)| (name, expressible(value))).collect()),
        other => other,
    }
}

proptest! {
    #[test]
    fn tables_survive_the_wire(table in prop::collection::vec(("[a-z]{0,9}".prop_map(Text::from), any_value()), 0..6)) {
        let mut buffer = Vec::new();
        put(&mut buffer, &table);
        prop_assert_eq!(buffer.len(), encoded_len(&table));
        let back = decode_copy(&buffer[4..], &Limits::default()).unwrap();
        let expected: Table = table.into_iter().map(|(name, value)| (name, expressible(value))).collect();
        prop_assert_eq!(back, expected);
    }

    #[test]
    fn whatever_is_checked_is_decoded(content in prop::collection::vec(any::<u8>(), 0..200)) {
        let checked = check(&content, &mut Budget::new(&Limits::default()));
        prop_assert_eq!(checked, decode_copy(&content, &Limits::default()).map(|_| ()));
    }
}
