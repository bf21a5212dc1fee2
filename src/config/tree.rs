//! The merged, still untyped configuration. Every node remembers where it came from, so that every later complaint can
//! name the line, the variable or the argument to change.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nowhere: the built-in default.
    Default,
    /// A place in the configuration file; line and column count from 1, columns in characters.
    File { path: Arc<PathBuf>, line: usize, column: usize },
    /// An environment variable, by its name as the operator spelled it.
    Environment(String),
    /// A command-line argument, without its value.
    CommandLine(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("built-in default"),
            Self::File { path, line, column } => write!(formatter, "{}:{line}:{column}", path.display()),
            Self::Environment(name) => write!(formatter, "environment {name}"),
            Self::CommandLine(argument) => formatter.write_str(argument),
        }
    }
}

/// A value and the place it was written at.
#[derive(Clone)]
pub struct Node {
    pub origin: Origin,
    pub value: Value,
}

/// A table's entry: the key has a place of its own, since an unknown key is the key's fault.
#[derive(Clone)]
pub struct Entry {
    pub key_origin: Origin,
    pub node: Node,
}

/// The entries of one table by their key.
pub type Table = BTreeMap<String, Entry>;

/// An untyped value. It has no `Debug`, since it may hold secrets.
#[derive(Clone)]
pub enum Value {
    /// A TOML string.
    String(Zeroizing<String>),
    /// Text from the environment or the command line: whatever type the setting wants.
    Text(Zeroizing<String>),
    Integer(i64),
    Boolean(bool),
    Array(Vec<Node>),
    Table(Table),
    /// A TOML value no setting takes (float, date, integer beyond 64 bits), by its kind.
    Unusable(&'static str),
}

impl Value {
    /// The kind with its article, for "expected …, found a string".
    pub fn kind(&self) -> &'static str {
        match self {
            Self::String(_) | Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Boolean(_) => "a boolean",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
            Self::Unusable(kind) => kind,
        }
    }
}

impl Node {
    /// An empty table, the start of every merge.
    pub fn empty_table(origin: Origin) -> Self {
        Self { origin, value: Value::Table(Table::new()) }
    }

    /// The value with text that spells a TOML array or table read as one; anything else as it is.
    pub fn structured(&self) -> Cow<'_, Value> {
        let Value::Text(text) = &self.value else { return Cow::Borrowed(&self.value) };
        match DeValue::parse(text.trim()) {
            Ok(parsed) => Cow::Owned(from_toml(parsed.get_ref(), &|_| self.origin.clone())),
            Err(_) => Cow::Borrowed(&self.value),
        }
    }

    /// Lays `above` over this node: tables merge key by key, everything else is replaced.
    pub fn overlay(&mut self, above: Node) {
        match (&mut self.value, above.value) {
            (Value::Table(below), Value::Table(above)) => {
                for (key, entry) in above {
                    overlay_entry(below, key, entry);
                }
            }
            (_, value) => *self = Self { origin: above.origin, value },
        }
    }

    /// Sets the value at a dotted path, creating the tables on the way.
    pub fn insert(&mut self, path: &str, origin: &Origin, value: Value) {
        let node = path
            .rsplit('.')
            .fold(Node { origin: origin.clone(), value }, |node, key| wrapped_in_table(key, node, origin));
        self.overlay(node);
    }

    /// Where the setting at `path` (keys, and indexes as `[2]`) was written, or the nearest table around it.
    pub fn origin_of(&self, path: &str) -> Origin {
        let mut node = self.clone();
        for step in path.split(['.', '[']) {
            let value = node.structured().into_owned();
            let next = match value {
                Value::Table(mut table) => table.remove(step).map(|entry| entry.node),
                Value::Array(mut nodes) => index_of(step).filter(|i| *i < nodes.len()).map(|i| nodes.swap_remove(i)),
                _ => None,
            };
            let Some(next) = next else { break };
            node = next;
        }
        node.origin
    }
}

fn index_of(step: &str) -> Option<usize> {
    step.trim_end_matches(']').parse().ok()
}

fn wrapped_in_table(key: &str, node: Node, origin: &Origin) -> Node {
    let entry = Entry { key_origin: origin.clone(), node };
    Node { origin: origin.clone(), value: Value::Table(Table::from([(key.to_owned(), entry)])) }
}

fn overlay_entry(below: &mut Table, key: String, above: Entry) {
    match below.get_mut(&key) {
        Some(entry) => entry.node.overlay(above.node),
        None => drop(below.insert(key, above)),
    }
}

/// Parses a TOML file. All syntax errors come back, each with its place; the tree holds whatever could be understood.
///
/// Messages never quote the file, since the line at fault may hold a password.
pub fn parse_file(path: &Path, text: &str) -> (Node, Vec<(Origin, String)>) {
    let path = Arc::new(path.to_owned());
    let place = |offset: usize| place_of(&path, text, offset);
    let (table, errors) = DeTable::parse_recoverable(text);
    let errors = errors.iter().map(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        (place(offset), format!("not valid TOML: {}", error.message()))
    });
    let root = Node { origin: place(0), value: table_from_toml(table.get_ref(), &place) };
    (root, errors.collect())
}

fn place_of(path: &Arc<PathBuf>, text: &str, offset: usize) -> Origin {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    Origin::File { path: Arc::clone(path), line, column: before[line_start..].chars().count() + 1 }
}

fn from_toml(value: &DeValue<'_>, place: &dyn Fn(usize) -> Origin) -> Value {
    match value {
        DeValue::String(text) => Value::String(Zeroizing::new(text.to_string())),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or(Value::Unusable("an integer beyond 64 bits"), Value::Integer),
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Float(_) => Value::Unusable("a floating-point number"),
        DeValue::Datetime(_) => Value::Unusable("a date or time"),
        DeValue::Array(values) => Value::Array(values.iter().map(|value| node_from_toml(value, place)).collect()),
        DeValue::Table(table) => table_from_toml(table, place),
    }
}

fn node_from_toml(value: &Spanned<DeValue<'_>>, place: &dyn Fn(usize) -> Origin) -> Node {
    Node { origin: place(value.span().start), value: from_toml(value.get_ref(), place) }
}

fn table_from_toml(table: &DeTable<'_>, place: &dyn Fn(usize) -> Origin) -> Value {
    let entry = |(key, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        let entry = Entry { key_origin: place(key.span().start), node: node_from_toml(value, place) };
        (key.get_ref().to_string(), entry)
    };
    Value::Table(table.iter().map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(tree: &Node, path: &str) -> String {
        tree.origin_of(path).to_string()
    }

    #[test]
    fn every_value_knows_its_line_and_column() {
        let (tree, errors) = parse_file(Path::new("a.toml"), "\"é\" = 'ü'\n[log]\nlevel = 1\n[[users]]\nname = 'a'\n");
        assert!(errors.is_empty());
        assert_eq!(origin(&tree, "é"), "a.toml:1:7");
        assert_eq!(origin(&tree, "log.level"), "a.toml:3:9");
        assert_eq!(origin(&tree, "users[0].name"), "a.toml:5:8");
        assert_eq!(origin(&tree, "users[0].tags"), "a.toml:4:1");
        assert_eq!(origin(&tree, "users[7].tags"), "a.toml:4:1");
    }

    #[test]
    fn all_syntax_errors_are_reported_without_quoting_the_file() {
        let (_, errors) = parse_file(Path::new("a.toml"), "a = \nb = 1\npassword = canary\n");
        let places: Vec<String> = errors.iter().map(|(origin, _)| origin.to_string()).collect();
        assert!(places.iter().any(|place| place.starts_with("a.toml:1:")), "{places:?}");
        assert!(places.iter().any(|place| place.starts_with("a.toml:3:")), "{places:?}");
        assert!(errors.iter().all(|(_, message)| !message.contains("canary")), "{errors:?}");
    }

    #[test]
    fn a_layer_replaces_values_and_merges_tables() {
        let (mut tree, _) = parse_file(Path::new("a.toml"), "[log]\nlevel = 'info'\nformat = 'json'\n");
        let above = Origin::Environment("CROSSDOCK__LOG__LEVEL".into());
        tree.insert("log.level", &above, Value::Text(Zeroizing::new("debug".into())));
        assert_eq!(origin(&tree, "log.level"), "environment CROSSDOCK__LOG__LEVEL");
        assert_eq!(origin(&tree, "log.format"), "a.toml:3:10");
    }
}
