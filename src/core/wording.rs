//! RabbitMQ's words for values, as its refusals quote them.

use crossdock_common::Value;

/// The name of a value's type.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "void",
        Value::Bool(_) => "bool",
        Value::I8(_) => "byte",
        Value::U8(_) => "unsignedbyte",
        Value::I16(_) => "short",
        Value::U16(_) => "unsignedshort",
        Value::I32(_) => "signedint",
        Value::U32(_) => "unsignedint",
        Value::I64(_) | Value::U64(_) => "long",
        Value::F32(_) => "float",
        Value::F64(_) => "double",
        Value::Decimal { .. } => "decimal",
        Value::Timestamp(_) => "timestamp",
        Value::Binary(_) => "binary",
        Value::String(_) => "longstr",
        Value::List(_) => "array",
        Value::Map(_) => "table",
    }
}

/// Why a value is refused that should be an integer.
pub(crate) fn not_an_integer(value: &Value) -> String {
    format!("\"expected integer, got {}\"", type_name(value))
}

/// Why a value of a wrong type is refused.
pub(crate) fn unacceptable(value: &Value) -> String {
    format!("{{unacceptable_type,{}}}", type_name(value))
}
