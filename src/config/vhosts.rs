//! Virtual hosts: an array whose elements are names, or tables where a name is not enough.

use super::problem::Problems;
use super::scalar::quoted;
use super::section::{Declaration, Found, Setting, Visitor};
use super::settings::VhostSettings;
use super::tree::{Entry, Node, Table, Value};

/// The virtual hosts, at least `/` by default.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Vhosts(Vec<VhostSettings>);

impl Vhosts {
    /// Vhosts without settings of their own.
    pub fn named(names: &[&str]) -> Self {
        let vhost = |name: &&str| VhostSettings { name: (*name).to_owned(), ..VhostSettings::default() };
        Self(names.iter().map(vhost).collect())
    }

    /// Their names, in the order of the configuration.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|vhost| vhost.name.as_str())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &VhostSettings> {
        self.0.iter()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for Vhosts {
    fn default() -> Self {
        Self::named(&["/"])
    }
}

impl Setting for Vhosts {
    fn read(found: Found<'_>, default: Self, declaration: &Declaration, problems: &mut Problems) -> Self {
        let tables = found.node.map(with_tables_for_names);
        let found = Found { node: tables.as_ref(), ..found };
        Self(Vec::read(found, default.0, declaration, problems))
    }

    fn describe(&self, _: &str, declaration: &Declaration, visitor: &mut dyn Visitor) {
        let names: Vec<String> = self.names().map(quoted).collect();
        visitor.scalar(declaration, Some(format!("[{}]", names.join(", "))), "an array of names or tables", "");
    }
}

/// `["a"]` as `[{ name = "a" }]`.
fn with_tables_for_names(node: &Node) -> Node {
    let value = match node.structured().into_owned() {
        Value::Array(nodes) => Value::Array(nodes.into_iter().map(with_table_for_name).collect()),
        other => other,
    };
    Node { origin: node.origin.clone(), value }
}

fn with_table_for_name(node: Node) -> Node {
    if !matches!(node.value, Value::String(_)) {
        return node;
    }
    let origin = node.origin.clone();
    let name = ("name".to_owned(), Entry { key_origin: origin.clone(), node });
    Node { origin, value: Value::Table(Table::from([name])) }
}
