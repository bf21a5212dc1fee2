//! The declaration of settings: one line in a `section!` gives a setting its key, type, default, range, example and
//! documentation, and from that follow the struct field, the reader, the complaints and the example file.

use std::ops::RangeInclusive;

use super::problem::{Problem, Problems, nearest_name};
use super::scalar::Scalar;
use super::tree::{Node, Origin, Table, Value};

/// What a declaration says about one setting besides its type and default.
pub struct Declaration {
    pub key: &'static str,
    /// The documentation, one element per line.
    pub documentation: &'static [&'static str],
    /// Smallest and largest number, size or text length.
    pub range: Option<RangeInclusive<u64>>,
    /// TOML shown in the example file when there is no default worth showing.
    pub example: Option<&'static str>,
}

/// A place in the tree while reading: what was found there, its dotted name, and what surrounds it.
pub struct Found<'a> {
    pub node: Option<&'a Node>,
    pub path: String,
    /// Blamed when the setting itself is missing.
    pub parent_origin: Origin,
}

/// Anything that may stand behind a key: a scalar, a section, or a `Vec` of sections.
pub trait Setting: Sized {
    /// The value found, else `default`. Complaints go to `problems`, and reading goes on with `default`.
    fn read(found: Found<'_>, default: Self, declaration: &Declaration, problems: &mut Problems) -> Self;

    /// Visits the declarations, with this value as the default.
    fn describe(&self, path: &str, declaration: &Declaration, visitor: &mut dyn Visitor);
}

/// Walks all declarations, for documentation. Sections come after the scalars of their parent, as TOML wants it.
pub trait Visitor {
    /// A single value; `default` is TOML, `None` when unset; `bounds` is empty when there are none.
    fn scalar(&mut self, declaration: &Declaration, default: Option<String>, expected: &str, bounds: &str);
    /// A table is opened; `repeated` for arrays of tables.
    fn section(&mut self, path: &str, declaration: &Declaration, repeated: bool);
}

/// A table of settings, declared by [`section!`].
pub trait Section: Sized {
    /// The keys that are valid in this table.
    const KEYS: &'static [&'static str];

    /// Reads the keys of this table.
    fn read_fields(reader: &mut TableReader<'_>, default: Self) -> Self;

    /// Describes the keys of this table.
    fn describe_fields(&self, path: &str, visitor: &mut dyn Visitor);
}

/// Reads the fields of one table.
pub struct TableReader<'a> {
    pub table: &'a Table,
    pub path: String,
    pub origin: Origin,
    pub problems: &'a mut Problems,
}

impl TableReader<'_> {
    /// The setting behind `declaration.key`.
    pub fn field<T: Setting>(&mut self, default: T, declaration: &Declaration) -> T {
        let node = self.table.get(declaration.key).map(|entry| &entry.node);
        let found = Found { node, path: joined(&self.path, declaration.key), parent_origin: self.origin.clone() };
        T::read(found, default, declaration, self.problems)
    }

    fn refuse_unknown_keys(&mut self, valid: &[&str]) {
        for (key, entry) in self.table.iter().filter(|(key, _)| !valid.contains(&key.as_str())) {
            let hint = match nearest_name(key, valid) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("expected one of: {}", valid.join(", ")),
            };
            self.problems.push(entry.key_origin.clone(), joined(&self.path, key), format!("unknown setting; {hint}"));
        }
    }
}

/// The dotted name of `key` in the table at `path`.
pub fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Reads a table as a section, `default` standing in for everything that is missing or wrong.
pub fn read_section<S: Section>(node: &Node, path: &str, default: S, problems: &mut Problems) -> S {
    let value = node.structured();
    let Value::Table(table) = value.as_ref() else {
        problems.push(node.origin.clone(), path, format!("expected a table, found {}", value.kind()));
        return default;
    };
    let mut reader = TableReader { table, path: path.to_owned(), origin: node.origin.clone(), problems };
    reader.refuse_unknown_keys(S::KEYS);
    S::read_fields(&mut reader, default)
}

/// Reads a table that may be missing: then it counts as empty, so that what it must hold is asked for all the same.
pub fn read_optional_section<S: Section>(found: Found<'_>, default: S, problems: &mut Problems) -> S {
    let missing = Node::empty_table(found.parent_origin);
    read_section(found.node.unwrap_or(&missing), &found.path, default, problems)
}

impl<S: Section + Default> Setting for Vec<S> {
    fn read(found: Found<'_>, default: Self, _: &Declaration, problems: &mut Problems) -> Self {
        let Some(node) = found.node else { return default };
        let value = node.structured();
        let Value::Array(nodes) = value.as_ref() else {
            let message = format!("expected an array of tables, found {}", value.kind());
            problems.push(node.origin.clone(), found.path, message);
            return default;
        };
        let element = |(index, node)| read_section(node, &format!("{}[{index}]", found.path), S::default(), problems);
        nodes.iter().enumerate().map(element).collect()
    }

    fn describe(&self, path: &str, declaration: &Declaration, visitor: &mut dyn Visitor) {
        visitor.section(path, declaration, true);
        S::default().describe_fields(path, visitor);
    }
}

impl<T: Scalar> Setting for T {
    fn read(found: Found<'_>, default: Self, declaration: &Declaration, problems: &mut Problems) -> Self {
        let read = match found.node {
            Some(node) => accept(node, &found.path, declaration),
            None => {
                let is_missing =
                    |_| Problem { origin: found.parent_origin, setting: found.path, message: "is missing".into() };
                check_range(&default, declaration).map_err(is_missing).map(|()| None)
            }
        };
        match read {
            Ok(value) => value.unwrap_or(default),
            Err(Problem { origin, setting, message }) => {
                problems.push(origin, setting, message);
                default
            }
        }
    }

    fn describe(&self, _: &str, declaration: &Declaration, visitor: &mut dyn Visitor) {
        visitor.scalar(declaration, self.to_toml(), &T::expected(), &bounds::<T>(declaration));
    }
}

fn accept<T: Scalar>(node: &Node, path: &str, declaration: &Declaration) -> Result<Option<T>, Problem> {
    let problem = |message| Problem { origin: node.origin.clone(), setting: path.to_owned(), message };
    if T::SECRET && matches!(node.origin, Origin::CommandLine(_)) {
        let message = "a secret is not taken from the command line, where every local user can read it; \
                       use the file or the environment";
        return Err(problem(message.into()));
    }
    let value = node.structured();
    let Some(parsed) = T::parse(&node.value).or_else(|| T::parse(&value)) else {
        let message = || format!("expected {}, found {}", T::expected(), shown::<T>(&value));
        return Err(of_element::<T>(&value, path).unwrap_or_else(|| problem(message())));
    };
    check_range(&parsed, declaration).map_err(problem)?;
    Ok(Some(parsed))
}

/// What is wrong with one element of an array.
fn of_element<T: Scalar>(value: &Value, path: &str) -> Option<Problem> {
    let (expected, index) = T::wrong_element(value)?;
    let Value::Array(nodes) = value else { return None };
    let node = nodes.get(index)?;
    let message = format!("expected {expected}, found {}", shown::<T>(&node.value));
    Some(Problem { origin: node.origin.clone(), setting: format!("{path}[{index}]"), message })
}

fn check_range<T: Scalar>(value: &T, declaration: &Declaration) -> Result<(), String> {
    let (Some(range), Some(magnitude)) = (&declaration.range, value.magnitude()) else { return Ok(()) };
    if range.contains(&magnitude) {
        return Ok(());
    }
    Err(format!("expected {}, found {}", bounds::<T>(declaration), T::show_magnitude(magnitude)))
}

/// `1 to 255 bytes of text`: the unit once, when both ends share it.
fn bounds<T: Scalar>(declaration: &Declaration) -> String {
    let Some(range) = &declaration.range else { return String::new() };
    let (least, most) = (T::show_magnitude(*range.start()), T::show_magnitude(*range.end()));
    match (least.split_once(' '), most.split_once(' ')) {
        (Some((least, unit)), Some((_, same))) if unit == same => format!("{least} to {most}"),
        _ => format!("{least} to {most}"),
    }
}

/// The value for a message: numbers and words are quoted, secrets and anything long only named by their kind.
fn shown<T: Scalar>(value: &Value) -> String {
    const QUOTED_CHARS_MAX: usize = 40;
    match value {
        Value::Integer(integer) if !T::SECRET => integer.to_string(),
        Value::Boolean(boolean) if !T::SECRET => boolean.to_string(),
        Value::String(text) | Value::Text(text) if !T::SECRET && text.len() <= QUOTED_CHARS_MAX => {
            format!("{:?}", text.as_str())
        }
        _ => value.kind().to_owned(),
    }
}

/// Declares a table of settings:
///
/// ```text
/// section! {
///     /// What the table is for.
///     pub struct LogSettings {
///         /// What the setting is for.
///         pub rotate_bytes: ByteSize = ByteSize(MIB), in KIB..=GIB, example "\"16MiB\"";
///     }
/// }
/// ```
///
/// `in` bounds a number, a size or the length of a text. A default outside it makes the setting mandatory.
macro_rules! section {
    (
        $(#[doc = $section_documentation:literal])*
        pub struct $name:ident {
            $(
                $(#[doc = $documentation:literal])*
                pub $field:ident: $type:ty = $default:expr $(, in $range:expr)? $(, example $example:literal)?;
            )*
        }
    ) => {
        $(#[doc = $section_documentation])*
        #[derive(Clone, Debug, serde::Serialize)]
        pub struct $name { $($(#[doc = $documentation])* pub $field: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::config::section::Section for $name {
            const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn read_fields(reader: &mut $crate::config::section::TableReader<'_>, default: Self) -> Self {
                Self { $($field: {
                    let declaration = section!(@declaration $field [$($documentation),*] [$($range)?] [$($example)?]);
                    reader.field(default.$field, &declaration)
                },)* }
            }

            fn describe_fields(&self, path: &str, visitor: &mut dyn $crate::config::section::Visitor) {
                $({
                    let declaration = section!(@declaration $field [$($documentation),*] [$($range)?] [$($example)?]);
                    let path = $crate::config::section::joined(path, declaration.key);
                    $crate::config::section::Setting::describe(&self.$field, &path, &declaration, visitor);
                })*
            }
        }

        impl $crate::config::section::Setting for $name {
            fn read(
                found: $crate::config::section::Found<'_>,
                default: Self,
                _: &$crate::config::section::Declaration,
                problems: &mut $crate::config::problem::Problems,
            ) -> Self {
                $crate::config::section::read_optional_section(found, default, problems)
            }

            fn describe(
                &self,
                path: &str,
                declaration: &$crate::config::section::Declaration,
                visitor: &mut dyn $crate::config::section::Visitor,
            ) {
                visitor.section(path, declaration, false);
                $crate::config::section::Section::describe_fields(self, path, visitor);
            }
        }
    };
    (@declaration $field:ident [$($documentation:literal),*] [$($range:expr)?] [$($example:literal)?]) => {
        $crate::config::section::Declaration {
            key: stringify!($field),
            documentation: &[$($documentation),*],
            range: section!(@option $($range)?),
            example: section!(@option $($example)?),
        }
    };
    (@option) => { None };
    (@option $value:expr) => { Some($value) };
}

pub(crate) use section;
