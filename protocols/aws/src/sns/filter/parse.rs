//! A policy's text, with SNS's rules and complaints. Both are recorded from AWS.

use core::net::IpAddr;

use serde_json::Value as Json;

use super::Scope;
use super::document::{Keyed, Match, Node};
use super::numeric::{Range, compare};
use super::tokens::{Kind, Place, Token, tokens};
use crate::policy::Network;

const BYTES_MAX: usize = 256 << 10;
const KEYS_MAX: usize = 5;
/// Most combinations of values, one of each key.
const COMBINATIONS_MAX: usize = 150;
const OR: &str = "$or";
pub(super) const NESTED: &str = "Filter policy scope MessageAttributes does not support nested filter policy";
const EMPTY_OBJECT: &str = "Empty objects are not allowed";
const TOO_COMPLEX: &str = "Filter policy is too complex";

pub(super) fn policy(text: &str, scope: Scope) -> Result<Node, String> {
    if text.len() > BYTES_MAX {
        return Err(TOO_COMPLEX.to_owned());
    }
    let tokens = tokens(text)?;
    let mut parser = Parser { text, scope, tokens: tokens.into_iter() };
    let first = parser.next()?;
    if first.kind != Kind::ObjectStart {
        return Err(parser.complain("Filter is not an object", first.seen_at));
    }
    let root = parser.object(1)?;
    let (keys, combinations) = (key_count(&root), combinations(&root, 1, scope));
    match () {
        () if keys > KEYS_MAX => Err("Filter policy can not have more than 5 keys".to_owned()),
        () if combinations > COMBINATIONS_MAX => Err(TOO_COMPLEX.to_owned()),
        () => Ok(root),
    }
}

/// Keys that have rules; of alternatives, those of the one with the most.
fn key_count(node: &Node) -> usize {
    let own = node.keys.iter().map(|(_, keyed)| match keyed {
        Keyed::Any(_) => 1,
        Keyed::Nested(node) => key_count(node),
    });
    own.sum::<usize>() + node.either.iter().filter_map(|nodes| nodes.iter().map(key_count).max()).sum::<usize>()
}

/// In a body, what is deeper counts for more.
fn combinations(node: &Node, depth: usize, scope: Scope) -> usize {
    let weight = if scope == Scope::MessageBody { depth } else { 1 };
    let own = node.keys.iter().map(|(_, keyed)| match keyed {
        Keyed::Any(all) => all.len().saturating_mul(weight),
        Keyed::Nested(node) => combinations(node, depth + 1, scope),
    });
    let alternatives = node
        .either
        .iter()
        .map(|nodes| nodes.iter().map(|node| combinations(node, depth, scope)).fold(0_usize, usize::saturating_add));
    own.chain(alternatives).fold(1, usize::saturating_mul)
}

struct Parser<'a> {
    text: &'a str,
    scope: Scope,
    tokens: std::vec::IntoIter<Token>,
}

impl Parser<'_> {
    fn next(&mut self) -> Result<Token, String> {
        self.tokens.next().ok_or_else(|| "failed to parse JSON. Unexpected end-of-input".to_owned())
    }

    fn complain(&self, text: &str, at: Place) -> String {
        let Place { line, column } = at;
        format!("{text}\n at [Source: (String)\"{}\"; line: {line}, column: {column}]", self.text)
    }

    /// Up to the end of an object that has begun.
    fn object(&mut self, depth: usize) -> Result<Node, String> {
        let mut node = Node::default();
        loop {
            let token = self.next()?;
            let Kind::Field(name) = token.kind else {
                // A policy that wants nothing lets everything through.
                return if node.is_empty() && depth > 1 {
                    Err(self.complain(EMPTY_OBJECT, token.seen_at))
                } else {
                    Ok(node)
                };
            };
            let value = self.next()?;
            match value.kind {
                Kind::ArrayStart if name == OR && self.has_objects() => node.either.push(self.alternatives(depth)?),
                Kind::ArrayStart => node.keys.push((name, Keyed::Any(self.rules()?))),
                Kind::ObjectStart => {
                    let nested = self.object(depth + 1)?;
                    if self.scope == Scope::MessageAttributes {
                        return Err(NESTED.to_owned());
                    }
                    node.keys.push((name, Keyed::Nested(nested)));
                }
                _ => {
                    let text = format!("\"{name}\" must be an object or an array");
                    return Err(self.complain(&text, value.seen_at));
                }
            }
        }
    }

    /// A list of objects with keys that are no operators of a match.
    fn has_objects(&self) -> bool {
        let rest = self.tokens.as_slice();
        let is_match = matches!(rest.get(1), Some(Token { kind: Kind::Field(name), .. }) if is_operator(name));
        matches!(rest.first(), Some(Token { kind: Kind::ObjectStart, .. })) && !is_match
    }

    fn alternatives(&mut self, depth: usize) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        loop {
            let token = self.next()?;
            match token.kind {
                Kind::ObjectStart => nodes.push(self.object(depth)?),
                Kind::ArrayEnd => return Ok(nodes),
                _ => return Err(self.complain("\"$or\" must be an array of objects", token.seen_at)),
            }
        }
    }

    /// Up to the end of a list that has begun.
    fn rules(&mut self) -> Result<Vec<Match>, String> {
        let mut all = Vec::new();
        loop {
            let token = self.next()?;
            match token.kind {
                Kind::Scalar(scalar) => all.push(Match::Exact(scalar)),
                Kind::ObjectStart => all.push(self.expression()?),
                Kind::ArrayEnd if all.is_empty() => {
                    return Err(self.complain("Empty arrays are not allowed", token.seen_at));
                }
                Kind::ArrayEnd => return Ok(all),
                _ => {
                    let text = "Match value must be String, number, true, false, or null";
                    return Err(self.complain(text, token.seen_at));
                }
            }
        }
    }

    /// `{"prefix": "a"}`, after its brace.
    fn expression(&mut self) -> Result<Match, String> {
        let token = self.next()?;
        let Kind::Field(operator) = token.kind else {
            return Err(self.complain(EMPTY_OBJECT, token.seen_at));
        };
        if !is_operator(&operator) {
            return Err(self.complain(&format!("Unrecognized match type {operator}"), token.seen_at));
        }
        let found = self.operand(&operator)?;
        let end = self.next()?;
        if end.kind == Kind::ObjectEnd {
            return Ok(found);
        }
        Err(self.complain("Only one key allowed in match expression", end.seen_at))
    }

    fn operand(&mut self, operator: &str) -> Result<Match, String> {
        match operator {
            "numeric" => Ok(self.numeric()?),
            "exists" => self.exists(),
            "anything-but" => self.anything_but(),
            // SNS calls it so.
            "cidr" => cidr(&self.pattern("prefix")?),
            "suffix" => self.pattern(operator).map(Match::Suffix),
            "equals-ignore-case" => self.pattern(operator).map(|text| Match::IgnoringCase(text.to_lowercase())),
            _ => self.pattern(operator).map(Match::Prefix),
        }
    }

    fn pattern(&mut self, operator: &str) -> Result<String, String> {
        let token = self.next()?;
        match token.kind {
            Kind::Scalar(Json::String(text)) => Ok(text),
            _ => Err(self.complain(&format!("{operator} match pattern must be a string"), token.seen_at)),
        }
    }

    fn exists(&mut self) -> Result<Match, String> {
        let token = self.next()?;
        match token.kind {
            Kind::Scalar(Json::Bool(truth)) => Ok(Match::Exists(truth)),
            _ => Err(self.complain("exists match pattern must be either true or false.", token.seen_at)),
        }
    }

    fn anything_but(&mut self) -> Result<Match, String> {
        let token = self.next()?;
        match token.kind {
            Kind::Scalar(scalar) if scalar.is_string() || scalar.is_number() => Ok(Match::AnythingBut(vec![scalar])),
            Kind::ArrayStart => self.anything_but_list(),
            Kind::ObjectStart => self.anything_but_prefix(),
            _ => {
                Err(self
                    .complain("Value of anything-but must be an array or single string/number value.", token.seen_at))
            }
        }
    }

    fn anything_but_list(&mut self) -> Result<Match, String> {
        let mut all = Vec::new();
        loop {
            let token = self.next()?;
            let is_whole = !all.is_empty() && (all.iter().all(Json::is_string) || all.iter().all(Json::is_number));
            match token.kind {
                Kind::Scalar(scalar) if scalar.is_string() || scalar.is_number() => all.push(scalar),
                Kind::ArrayEnd if is_whole => return Ok(Match::AnythingBut(all)),
                _ => {
                    let text = "Inside anything-but list, either all values are number or string, mixed type is not \
                                supported";
                    return Err(self.complain(text, token.seen_at));
                }
            }
        }
    }

    fn anything_but_prefix(&mut self) -> Result<Match, String> {
        let token = self.next()?;
        match token.kind {
            Kind::Field(operator) if operator == "prefix" => {
                let prefix = self.pattern("prefix")?;
                self.next()?;
                Ok(Match::AnythingButPrefix(vec![prefix]))
            }
            Kind::Field(other) => {
                Err(self.complain(&format!("Unsupported anything-but pattern: {other}"), token.seen_at))
            }
            _ => Err(self.complain(EMPTY_OBJECT, token.seen_at)),
        }
    }

    /// `["=", 1]`, `[">", 1]`, `[">", 1, "<=", 2]` and their like.
    fn numeric(&mut self) -> Result<Match, String> {
        let begin = self.next()?;
        if begin.kind != Kind::ArrayStart {
            return Err(self.complain("Value of numeric must be an array.", begin.seen_at));
        }
        let operator = self.next()?;
        let Kind::Scalar(Json::String(word)) = operator.kind else {
            let text = format!("Invalid member in numeric match: {}", shown(&operator.kind));
            return Err(self.complain(&text, operator.seen_at));
        };
        let value = self.next()?;
        let range = match word.as_str() {
            "=" => {
                let number = self.number("equals", value)?;
                Range { low: Some((number.clone(), true)), high: Some((number, true)) }
            }
            "<" | "<=" => Range { low: None, high: Some((self.number(&word, value)?, word == "<=")) },
            ">" | ">=" => {
                let low = self.number(&word, value)?;
                return self.range_above(low, word == ">=").map(Match::Numeric);
            }
            other => {
                let text = format!("Unrecognized numeric range operator: {other}");
                return Err(self.complain(&text, value.seen_at));
            }
        };
        let end = self.next()?;
        if end.kind == Kind::ArrayEnd {
            return Ok(Match::Numeric(range));
        }
        Err(self.complain("Too many elements in numeric expression", end.seen_at))
    }

    fn number(&self, operator: &str, token: Token) -> Result<Json, String> {
        match token.kind {
            Kind::Scalar(number @ Json::Number(_)) => Ok(number),
            _ => Err(self.complain(&format!("Value of {operator} must be numeric"), token.seen_at)),
        }
    }

    /// What may follow `[">", low`.
    fn range_above(&mut self, low: Json, with_low: bool) -> Result<Range, String> {
        let token = self.next()?;
        let word = match token.kind {
            Kind::ArrayEnd => return Ok(Range { low: Some((low, with_low)), high: None }),
            Kind::Scalar(Json::String(word)) => word,
            other => {
                let text = format!("Bad value in numeric range: {}", shown(&other));
                return Err(self.complain(&text, token.seen_at));
            }
        };
        if !["<", "<="].contains(&word.as_str()) {
            return Err(self.complain(&format!("Bad numeric range operator: {word}"), token.read_at));
        }
        let value = self.next()?;
        let high = self.number(&word, value)?;
        let end = self.next()?;
        if end.kind != Kind::ArrayEnd {
            return Err(self.complain("Too many terms in numeric range expression", end.seen_at));
        }
        if compare(&low, &high) != Some(std::cmp::Ordering::Less) {
            return Err(self.complain("Bottom must be less than top", end.seen_at));
        }
        Ok(Range { low: Some((low, with_low)), high: Some((high, word == "<=")) })
    }
}

fn is_operator(name: &str) -> bool {
    ["anything-but", "cidr", "equals-ignore-case", "exists", "numeric", "prefix", "suffix"].contains(&name)
}

fn shown(kind: &Kind) -> String {
    match kind {
        Kind::Scalar(Json::String(text)) => text.clone(),
        Kind::Scalar(other) => other.to_string(),
        Kind::ArrayEnd => "]".to_owned(),
        Kind::ArrayStart => "[".to_owned(),
        Kind::ObjectStart => "{".to_owned(),
        Kind::ObjectEnd => "}".to_owned(),
        Kind::Field(name) => name.clone(),
    }
}

fn cidr(text: &str) -> Result<Match, String> {
    let Some((address, bits)) = text.split_once('/').filter(|(_, bits)| !bits.contains('/')) else {
        return Err("Malformed CIDR, one '/' required".to_owned());
    };
    if bits.parse::<u32>().is_err() {
        return Err("Malformed CIDR, mask bits must be an integer".to_owned());
    }
    if address.parse::<IpAddr>().is_err() {
        return Err(format!("Nonstandard IP address: {address}"));
    }
    Network::parse(text).map(Match::Cidr).ok_or_else(|| "Malformed CIDR, mask bits must be in range".to_owned())
}
