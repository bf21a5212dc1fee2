//! A request's parameters in the shape that AWS JSON gives them; every encoding is brought into it.

use serde_json::{Map, Value};

use crate::error::Failure;

/// The parameters of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(pub Map<String, Value>);

/// The members of one structure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a>(&'a Map<String, Value>);

impl Fields {
    pub(crate) fn view(&self) -> View<'_> {
        View(&self.0)
    }
}

impl<'a> View<'a> {
    /// Text, if given. JSON `null` is the same as nothing.
    pub(crate) fn text(self, name: &'static str) -> Result<Option<&'a str>, Failure> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "a string")),
        }
    }

    /// Text that has to be given.
    pub(crate) fn required(self, name: &'static str) -> Result<&'a str, Failure> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or(Failure::MissingParameter(name))
    }

    /// A whole number, if given; Query writes it as text.
    pub(crate) fn integer(self, name: &'static str) -> Result<Option<i64>, Failure> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => number.as_i64().map(Some).ok_or_else(|| wrong(name, "a whole number")),
            Some(Value::String(text)) => match text.trim().parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(Failure::value(text, name, "Must be an integer.")),
            },
            Some(_) => Err(wrong(name, "a whole number")),
        }
    }

    /// A list of texts; empty if not given.
    pub(crate) fn texts(self, name: &'static str) -> Result<Vec<&'a str>, Failure> {
        let items = self.items(name)?.unwrap_or_default();
        items.iter().map(|item| item.as_str().ok_or_else(|| wrong(name, "a list of strings"))).collect()
    }

    /// A map of texts; empty if not given.
    pub(crate) fn text_map(self, name: &'static str) -> Result<Vec<(&'a str, &'a str)>, Failure> {
        let text = |(key, value): (&'a String, &'a Value)| match value {
            Value::String(text) => Ok((key.as_str(), text.as_str())),
            _ => Err(wrong(name, "a map of strings")),
        };
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Object(map)) => map.iter().map(text).collect(),
            Some(_) => Err(wrong(name, "a map of strings")),
        }
    }

    /// A list of structures, if given.
    pub(crate) fn list(self, name: &'static str) -> Result<Option<Vec<View<'a>>>, Failure> {
        let Some(items) = self.items(name)? else { return Ok(None) };
        let view = |item: &'a Value| item.as_object().map(View).ok_or_else(|| wrong(name, "a list of structures"));
        items.iter().map(view).collect::<Result<_, _>>().map(Some)
    }

    /// A map of structures; empty if not given.
    pub(crate) fn map(self, name: &'static str) -> Result<Vec<(&'a str, View<'a>)>, Failure> {
        let view = |(key, value): (&'a String, &'a Value)| match value {
            Value::Object(map) => Ok((key.as_str(), View(map))),
            _ => Err(wrong(name, "a map of structures")),
        };
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Object(map)) => map.iter().map(view).collect(),
            Some(_) => Err(wrong(name, "a map of structures")),
        }
    }

    fn items(self, name: &'static str) -> Result<Option<&'a [Value]>, Failure> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(wrong(name, "a list")),
        }
    }
}

fn wrong(name: &str, expected: &str) -> Failure {
    Failure::Malformed(format!("{name} is not {expected}"))
}
