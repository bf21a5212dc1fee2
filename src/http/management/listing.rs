//! Lists: filtered, sorted, cut into pages and columns as the query says. Rows are light; what is shown of them is made one by one, so a
//! list of 100,000 queues costs its text and not its tree.

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value, json};

use super::answer::{Answer, Failure, json_text};

const PAGE_SIZE_DEFAULT: usize = 100;
const PAGE_SIZE_MAX: usize = 500;
/// Most columns of a row, and parts of the name of one: an object has fewer of either.
const COLUMNS_MAX: usize = 256;
const PARTS_MAX: usize = 16;
/// Compiled size of a name's expression, in bytes: it comes from outside.
const EXPRESSION_BYTES_MAX: usize = 1 << 20;

/// The query of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(pub Vec<(String, String)>);

impl Query {
    /// The first value of that name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }
}

/// What the query says about a list.
#[derive(Debug, Default)]
pub(super) struct Listing {
    page: Option<Page>,
    columns: Option<Vec<Vec<String>>>,
    sort: Vec<String>,
    reverse: bool,
}

/// A page, and which names are in it.
#[derive(Debug)]
struct Page {
    number: usize,
    size: usize,
    names: Names,
}

/// Which names are listed.
#[derive(Debug)]
enum Names {
    All,
    Containing(String),
    Matching(Regex),
}

impl Names {
    fn of(query: &Query) -> Result<Self, Failure> {
        let Some(text) = query.get("name").filter(|text| !text.is_empty()) else { return Ok(Self::All) };
        if !query.is_true("use_regex") {
            return Ok(Self::Containing(text.to_lowercase()));
        }
        let expression = RegexBuilder::new(text).case_insensitive(true).size_limit(EXPRESSION_BYTES_MAX).build();
        expression.map(Self::Matching).map_err(|_| Failure::bad_request("Pagination parameters are invalid"))
    }

    fn include(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Containing(text) => name.to_lowercase().contains(text),
            Self::Matching(expression) => expression.is_match(name),
        }
    }
}

impl Page {
    fn of(query: &Query) -> Result<Option<Self>, Failure> {
        let Some(number) = query.get("page") else { return Ok(None) };
        let parse =
            |text: &str| text.parse::<usize>().map_err(|_| Failure::bad_request("Pagination parameters are invalid"));
        let number = parse(number)?;
        let asked = query.get("page_size").map(parse).transpose()?;
        let size = asked.unwrap_or(PAGE_SIZE_DEFAULT);
        if number == 0 || size == 0 || size > PAGE_SIZE_MAX {
            let asked = asked.map_or_else(|| "undefined".to_owned(), |size| size.to_string());
            let reason = format!("Invalid pagination parameters: page number {number}, page size {asked}");
            return Err(Failure::invalid("invalid_pagination_parameters", reason));
        }
        Ok(Some(Self { number, size, names: Names::of(query)? }))
    }
}

/// The rows that are shown, and what is said about the others.
pub(super) struct Selected<T> {
    pub rows: Vec<T>,
    page: Option<Map<String, Value>>,
    columns: Option<Vec<Vec<String>>>,
}

impl Listing {
    /// # Errors
    /// Parameters that say nothing.
    pub(super) fn of(query: &Query) -> Result<Self, Failure> {
        Ok(Self {
            page: Page::of(query)?,
            columns: columns(query)?,
            sort: query.get("sort").filter(|sort| !sort.is_empty()).map(path).transpose()?.unwrap_or_default(),
            reverse: query.is_true("sort_reverse"),
        })
    }

    /// The column that decides the order, if one is named.
    pub(super) fn sorts_by(&self) -> Option<&str> {
        self.sort.first().map(String::as_str)
    }

    /// Filters by name, sorts, and takes the page.
    pub(super) fn select<T>(
        self,
        mut rows: Vec<T>,
        name: impl Fn(&T) -> &str,
        show: impl Fn(&T) -> Value,
    ) -> Result<Selected<T>, Failure> {
        let total = rows.len();
        if let Some(page) = &self.page {
            rows.retain(|row| page.names.include(name(row)));
        }
        if !self.sort.is_empty() {
            rows = self.sorted(rows, show);
        } else if self.reverse {
            rows.reverse();
        }
        let (rows, page) = match &self.page {
            Some(page) => page.cut(rows, total).map(|(rows, facts)| (rows, Some(facts)))?,
            None => (rows, None),
        };
        Ok(Selected { rows, page, columns: self.columns })
    }

    /// Whole rows are made for their sort key only, and dropped.
    fn sorted<T>(&self, rows: Vec<T>, show: impl Fn(&T) -> Value) -> Vec<T> {
        let key = |row: &T| lookup(&show(row), &self.sort).cloned().unwrap_or(Value::Null);
        let mut keyed: Vec<(Value, T)> = rows.into_iter().map(|row| (key(&row), row)).collect();
        keyed.sort_by(|(one, _), (other, _)| compare(one, other));
        if self.reverse {
            keyed.reverse();
        }
        keyed.into_iter().map(|(_, row)| row).collect()
    }

    /// The whole answer for rows that are shown without waiting.
    pub(super) fn answer<T>(self, rows: Vec<T>, name: impl Fn(&T) -> &str, show: impl Fn(&T) -> Value) -> Answer {
        Ok(self.select(rows, name, &show)?.answer(show))
    }

    /// One object with the columns that were asked for.
    pub(super) fn one(&self, value: Value) -> Answer {
        Ok(json_text(narrow(value, self.columns.as_deref()).to_string()))
    }
}

impl Page {
    fn cut<T>(&self, rows: Vec<T>, total: usize) -> Result<(Vec<T>, Map<String, Value>), Failure> {
        let filtered = rows.len();
        let begin = (self.number - 1).saturating_mul(self.size);
        if begin >= filtered && self.number > 1 {
            let (page, size) = (self.number, self.size);
            let reason = format!("Page out of range, page: {page} page size: {size}, len: {filtered}");
            return Err(Failure::invalid("page_out_of_range", reason));
        }
        let rows: Vec<T> = rows.into_iter().skip(begin).take(self.size).collect();
        let facts = json!({
            "page": self.number, "page_size": self.size, "page_count": filtered.div_ceil(self.size),
            "item_count": rows.len(), "filtered_count": filtered, "total_count": total,
        });
        match facts {
            Value::Object(facts) => Ok((rows, facts)),
            _ => Ok((rows, Map::new())),
        }
    }
}

impl<T> Selected<T> {
    /// The answer, row by row.
    pub(super) fn answer(self, show: impl Fn(&T) -> Value) -> axum::response::Response {
        let mut text = String::from("[");
        for (index, row) in self.rows.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(&narrow(show(row), self.columns.as_deref()).to_string());
        }
        text.push(']');
        let Some(page) = self.page else { return json_text(text) };
        let facts = Value::Object(page).to_string();
        json_text(format!("{},\"items\":{text}}}", facts.trim_end_matches('}')))
    }
}

fn columns(query: &Query) -> Result<Option<Vec<Vec<String>>>, Failure> {
    let Some(text) = query.get("columns") else { return Ok(None) };
    let names = || text.split(',').filter(|column| !column.is_empty());
    // They are looked up in every row.
    if names().count() > COLUMNS_MAX {
        return Err(Failure::bad_request(format!("columns: at most {COLUMNS_MAX} can be asked for")));
    }
    names().map(path).collect::<Result<_, _>>().map(Some)
}

/// `a.b` is `b` within `a`.
fn path(column: &str) -> Result<Vec<String>, Failure> {
    if column.split('.').count() > PARTS_MAX {
        return Err(Failure::bad_request(format!("a column's name has at most {PARTS_MAX} parts")));
    }
    Ok(column.split('.').map(str::to_owned).collect())
}

fn lookup<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

/// Keeps the columns only.
fn narrow(value: Value, columns: Option<&[Vec<String>]>) -> Value {
    let Some(columns) = columns else { return value };
    let mut kept = Value::Object(Map::new());
    for column in columns {
        if let Some(found) = lookup(&value, column) {
            insert(&mut kept, column, found.clone());
        }
    }
    kept
}

fn insert(into: &mut Value, path: &[String], value: Value) {
    let (Some((first, rest)), Value::Object(members)) = (path.split_first(), into) else { return };
    if rest.is_empty() {
        members.insert(first.clone(), value);
    } else {
        insert(members.entry(first).or_insert_with(|| Value::Object(Map::new())), rest, value);
    }
}

/// Numbers by value, texts by bytes; what is not there comes first.
fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one.as_f64().unwrap_or_default().total_cmp(&other.as_f64().unwrap_or_default())
        }
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        _ => rank(one).cmp(&rank(other)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
