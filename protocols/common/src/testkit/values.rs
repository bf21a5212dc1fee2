//! Arbitrary values and messages for property tests.

use bytes::Bytes;
use proptest::prelude::*;

use crate::definition::{BindingSpec, QueueSpec, Standing};
use crate::value::lookup;
use crate::{Format, FormatTag, Hub, Message, Name, Text, Value};

/// Any value, nested up to three levels. No NaN, which is not equal to itself.
pub fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i8>().prop_map(Value::I8),
        any::<u8>().prop_map(Value::U8),
        any::<i16>().prop_map(Value::I16),
        any::<u16>().prop_map(Value::U16),
        any::<i32>().prop_map(Value::I32),
        any::<u32>().prop_map(Value::U32),
        any::<i64>().prop_map(Value::I64),
        any::<u64>().prop_map(Value::U64),
        any::<i32>().prop_map(|n| Value::F32(n as f32 / 8.0)),
        any::<i32>().prop_map(|n| Value::F64(f64::from(n) / 1024.0)),
        (any::<u8>(), any::<i32>()).prop_map(|(scale, value)| Value::Decimal { scale, value }),
        (0..4_000_000_000i64).prop_map(|seconds| Value::Timestamp(seconds * 1000)),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Value::Binary(bytes.into())),
        "[^\u{0}]{0,20}".prop_map(Value::string),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::vec(("[a-z]{1,8}".prop_map(Text::from), inner), 0..4).prop_map(Value::Map),
        ]
    })
}

/// The attribute of a binding that names the other queue of a standing one; it may be empty.
pub const STANDING: &str = "standing";
/// The attribute of a queue that does not admit the messages of standing bindings.
pub const CLOSED: &str = "closed";

#[derive(Debug)]
struct Plain;

impl Format for Plain {
    fn tag(&self) -> FormatTag {
        FormatTag(255)
    }

    fn to_hub(&self, _: &Message) -> Hub {
        Hub::default()
    }

    fn standing(&self, binding: &BindingSpec) -> Option<Standing> {
        let otherwise = lookup(&binding.attributes, STANDING)?.as_str()?;
        Some(Standing { otherwise: Some(Name::from(otherwise)).filter(|name| !name.is_empty()) })
    }

    fn admits(&self, _: &BindingSpec, queue: &QueueSpec) -> bool {
        lookup(&queue.attributes, CLOSED).is_none()
    }
}

/// A format without properties, for tests that do not care for them. Bindings with [`STANDING`] are standing ones.
pub fn plain_format() -> &'static dyn Format {
    &Plain
}

/// A message with any body and key.
pub fn any_message() -> impl Strategy<Value = Message> {
    ("[a-z.]{0,12}", prop::collection::vec(any::<u8>(), 0..200), any::<bool>(), any::<u8>()).prop_map(
        |(key, body, durable, priority)| {
            let mut message =
                Message::new(plain_format(), Name::from("amq.topic"), Bytes::from(key), Bytes::new(), body.into());
            message.durable = durable;
            message.priority = priority;
            message
        },
    )
}
