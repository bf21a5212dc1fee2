//! Message attributes: what they are, and what SQS and SNS refuse.

use core::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use crossdock_common::Text;

use crate::error::Failure;
use crate::wire::{Service, Shape, View, is_legal, is_legal_character};

/// The only system attribute that a client may set.
pub(crate) const TRACE_HEADER: &str = "AWSTraceHeader";
/// Most message attributes of one SQS message.
pub(crate) const ATTRIBUTES_MAX: usize = 10;
/// Longest name or type.
const NAME_BYTES_MAX: usize = 256;
/// Letters beyond ASCII that SQS takes in names, though it does not say so: `À` to `ſ`.
const MORE_LETTERS: RangeInclusive<char> = '\u{C0}'..='\u{17F}';
/// Most significant digits of a Number of SQS.
const DIGITS_MAX: usize = 38;
/// A Number is 0, or from 10^-128 to 10^126, or as much below 0.
const EXPONENTS: RangeInclusive<i64> = -128..=126;

/// One attribute with its type as the client wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub name: Text,
    /// `String`, `Number`, `Binary`, each perhaps with a label (`Number.int`); SNS also `String.Array`.
    pub data_type: Text,
    pub value: AttributeValue,
}

/// Text for String and Number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AttributeValue {
    Text(Text),
    Binary(Bytes),
}

impl Attribute {
    pub(crate) fn text(name: &'static str, data_type: &'static str, value: impl Into<Text>) -> Self {
        let (name, data_type) = (Text::from_static(name), Text::from_static(data_type));
        Self { name, data_type, value: AttributeValue::Text(value.into()) }
    }

    /// `String`, `Number` or `Binary`.
    pub(crate) fn base_type(&self) -> &str {
        self.data_type.split('.').next().unwrap_or_default()
    }

    pub(crate) fn cost_bytes(&self) -> usize {
        let value = match &self.value {
            AttributeValue::Text(text) => text.len(),
            AttributeValue::Binary(bytes) => bytes.len(),
        };
        self.name.len() + self.data_type.len() + value
    }

    /// As ReceiveMessage shows it.
    pub(crate) fn shape(&self) -> Shape {
        let value = match &self.value {
            AttributeValue::Text(text) => ("StringValue", Shape::text(&**text)),
            AttributeValue::Binary(bytes) => ("BinaryValue", Shape::text(BASE64.encode(bytes))),
        };
        Shape::fields([value, ("DataType", Shape::text(&*self.data_type))])
    }
}

/// The attributes of a request. `path` is where SNS's validation errors see them.
pub(crate) fn parse_all(view: View<'_>, service: Service, path: &str) -> Result<Vec<Attribute>, Failure> {
    let given = view.map("MessageAttributes")?;
    if service == Service::Sqs && given.len() > ATTRIBUTES_MAX {
        let count = given.len();
        return Err(Failure::Invalid(format!(
            "Number of message attributes [{count}] exceeds the allowed maximum [{ATTRIBUTES_MAX}]."
        )));
    }
    given.into_iter().map(|(name, view)| parse(name, view, service, path)).collect()
}

/// One attribute of a request.
pub(crate) fn parse(name: &str, view: View<'_>, service: Service, path: &str) -> Result<Attribute, Failure> {
    let refuse = |text: String| match service {
        Service::Sns => Failure::SnsParameterValue(text),
        _ => Failure::Invalid(text),
    };
    let more_letters = (service == Service::Sqs).then_some(MORE_LETTERS);
    check_name(name, more_letters).map_err(refuse)?;
    let Some(data_type) = view.text("DataType")?.filter(|data_type| !data_type.is_empty()) else {
        return Err(no_type(name, service, path));
    };
    let value = value(name, data_type, view, service).map_err(|failure| match failure {
        Failure::Invalid(text) => refuse(text),
        other => other,
    })?;
    Ok(Attribute { name: name.into(), data_type: data_type.into(), value })
}

fn value(name: &str, data_type: &str, view: View<'_>, service: Service) -> Result<AttributeValue, Failure> {
    let (text, binary) = (view.text("StringValue")?, view.text("BinaryValue")?);
    let base = data_type.split('.').next().unwrap_or_default();
    let expected = match base {
        "String" | "Number" => "String",
        "Binary" => "Binary",
        _ => return Err(Failure::Invalid(wrong_type(name))),
    };
    if !is_name(data_type) {
        return Err(Failure::Invalid(wrong_type(name)));
    }
    let (value, other) = if expected == "String" { (text, binary) } else { (binary, text) };
    match value.filter(|value| !value.is_empty()) {
        None if other.is_some_and(|other| !other.is_empty()) => Err(Failure::Invalid(format!(
            "The message attribute '{name}' with type '{data_type}' must use field '{expected}'."
        ))),
        None => Err(Failure::Invalid(no_value(name, data_type, service))),
        Some(value) if expected == "Binary" => decode(name, value),
        Some(value) if !is_legal(value) => Err(Failure::Invalid(bad_character(name, value))),
        Some(value) if base == "Number" && !is_number_of(service, value) => {
            Err(Failure::Invalid(no_number(name, service)))
        }
        Some(value) => Ok(AttributeValue::Text(value.into())),
    }
}

fn decode(name: &str, value: &str) -> Result<AttributeValue, Failure> {
    match BASE64.decode(value) {
        Ok(bytes) => Ok(AttributeValue::Binary(bytes.into())),
        Err(_) => Err(Failure::Malformed(format!("The value of message attribute '{name}' is not base64."))),
    }
}

fn no_type(name: &str, service: Service, path: &str) -> Failure {
    match service {
        Service::Sns => Failure::SnsValidation(format!(
            "1 validation error detected: Value null at '{path}messageAttributes.{name}.member.dataType' failed to \
             satisfy constraint: Member must not be null"
        )),
        _ => Failure::Invalid(format!("The message attribute '{name}' must contain non-empty message attribute type.")),
    }
}

fn wrong_type(name: &str) -> String {
    format!(
        "The message attribute '{name}' has an invalid message attribute type, the set of supported type prefixes is \
         Binary, Number, and String."
    )
}

fn no_value(name: &str, data_type: &str, service: Service) -> String {
    match service {
        Service::Sns => format!(
            "The message attribute '{name}' must contain non-empty message attribute value for message attribute type \
             '{data_type}'."
        ),
        _ => format!("Message (user) attribute '{name}' must contain a non-empty value of type '{data_type}'."),
    }
}

fn no_number(name: &str, service: Service) -> String {
    let user = if service == Service::Sqs { "(user) " } else { "" };
    format!("Can't cast the value of message {user}attribute '{name}' to a number.")
}

fn bad_character(name: &str, value: &str) -> String {
    let bad = value.chars().find(|character| !is_legal_character(*character)).map_or(0, u32::from);
    format!(
        "Invalid binary character '#x{bad:X}' was found in the message attribute '{name}' value, the set of allowed \
         characters is #x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF]"
    )
}

/// Whether SQS and SNS take the name.
pub(crate) fn is_name(name: &str) -> bool {
    check_name(name, None).is_ok()
}

fn check_name(name: &str, more_letters: Option<RangeInclusive<char>>) -> Result<(), String> {
    if name.is_empty() || name.len() >= NAME_BYTES_MAX {
        return Err("Length of message attribute name must be less than 256 bytes.".to_owned());
    }
    let is_more = |character: char| {
        character.is_alphabetic() && more_letters.as_ref().is_some_and(|more| more.contains(&character))
    };
    let legal = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character) || is_more(character);
    if let Some(other) = name.chars().find(|character| !legal(*character)) {
        return Err(format!(
            "Invalid non-alphanumeric character '#x{:X}' was found in the message attribute name. Can only include \
             alphanumeric characters, hyphens, underscores, or dots.",
            u32::from(other)
        ));
    }
    let problem = match name {
        name if name.starts_with('.') => "Invalid message attribute name starting with character '.' was found.",
        name if name.ends_with('.') => "Invalid message attribute name ending with character '.' was found.",
        name if name.contains("..") => "Message attribute name can not have successive '.' character.",
        name if has_reserved_prefix(name) => "Message attribute name can not start with 'AWS.' or 'Amazon.'.",
        _ => return Ok(()),
    };
    Err(problem.to_owned())
}

fn has_reserved_prefix(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.starts_with("aws.") || lower.starts_with("amazon.")
}

/// SNS says nothing of digits.
fn is_number_of(service: Service, text: &str) -> bool {
    if service == Service::Sns { is_any_number(text) } else { is_number(text) }
}

/// Digits with a sign, a point and an exponent, within SQS's bounds.
pub(crate) fn is_number(text: &str) -> bool {
    is_any_number(text) && is_within_bounds(text)
}

fn is_any_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite) && text.bytes().all(|byte| b"0123456789+-.eE".contains(&byte))
}

/// The same of what is a number.
fn is_within_bounds(number: &str) -> bool {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let mantissa = mantissa.trim_start_matches(['+', '-']);
    let whole_digits = mantissa.find('.').unwrap_or(mantissa.len());
    let digits = mantissa.replace('.', "");
    let significant = digits.trim_matches('0');
    let Some(first) = digits.find(|digit| digit != '0') else { return true };
    let Ok(exponent) = exponent.parse::<i64>() else { return false };
    // Of the first digit that counts.
    let exponent = exponent.saturating_add_unsigned(whole_digits as u64).saturating_sub_unsigned(first as u64 + 1);
    let is_most = exponent == *EXPONENTS.end() && significant == "1";
    significant.len() <= DIGITS_MAX && EXPONENTS.contains(&exponent) && (exponent < *EXPONENTS.end() || is_most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_bounds() {
        let nines = |count| "9".repeat(count);
        let zeros = |count| "0".repeat(count);
        for (text, expected) in [
            ("0".to_owned(), true),
            ("-0.000e500".to_owned(), true),
            ("+1.50".to_owned(), true),
            (nines(38), true),
            (format!("-{}.{}", nines(19), nines(19)), true),
            (nines(39), false),
            (format!("0.{}{}", zeros(90), nines(38)), true),
            (format!("{}{}", nines(38), zeros(88)), true),
            (format!("1{}", zeros(126)), true),
            (format!("2{}", zeros(126)), false),
            ("1e126".to_owned(), true),
            ("10e125".to_owned(), true),
            ("-1.1e126".to_owned(), false),
            ("1e127".to_owned(), false),
            ("1e-128".to_owned(), true),
            ("9e-129".to_owned(), false),
            (format!("0.{}1", zeros(127)), true),
            (format!("0.{}1", zeros(128)), false),
            ("1e-99999999999999999999".to_owned(), false),
            ("many".to_owned(), false),
            ("inf".to_owned(), false),
            ("0x1".to_owned(), false),
        ] {
            assert_eq!(is_number(&text), expected, "{text}");
        }
        assert!(is_number_of(Service::Sns, "1e300") && !is_number_of(Service::Sqs, "1e300"));
    }
}
