//! A response, before it is JSON or XML.

/// A value of a response. Names are AWS JSON's; what XML writes differently stands beside them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// An action without an answer.
    Nothing,
    Text(String),
    Bool(bool),
    Number(u64),
    Fields(Vec<(&'static str, Shape)>),
    /// SQS's XML repeats `element` without anything around it.
    List {
        element: &'static str,
        items: Vec<Shape>,
    },
    /// SQS's XML repeats `element` with a name and a value in it.
    Map {
        element: &'static str,
        entries: Vec<(String, Shape)>,
    },
}

impl Shape {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn number(number: impl Into<u64>) -> Self {
        Self::Number(number.into())
    }

    pub(crate) fn fields<const N: usize>(fields: [(&'static str, Shape); N]) -> Self {
        Self::Fields(fields.into())
    }

    pub(crate) fn list(element: &'static str, items: impl IntoIterator<Item = Shape>) -> Self {
        Self::List { element, items: items.into_iter().collect() }
    }

    /// A map of texts.
    pub(crate) fn text_map(element: &'static str, entries: impl IntoIterator<Item = (String, String)>) -> Self {
        let entries = entries.into_iter().map(|(name, value)| (name, Self::Text(value))).collect();
        Self::Map { element, entries }
    }

    /// Whether there is nothing in it: AWS leaves out empty lists and maps.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::List { items, .. } => items.is_empty(),
            Self::Map { entries, .. } => entries.is_empty(),
            _ => false,
        }
    }
}
