//! Which routing keys a user may use with a topic exchange.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crossdock_common::refusal::Access;
use hashbrown::HashMap;
use parking_lot::Mutex;
use regex::bytes::Regex;

use super::Who;

/// Expressions that were filled in, of one grant; more clients than that, and they are filled in again.
const FILLED_IN_MAX: usize = 1024;

/// Which routing keys a user may use, as somebody else's rules say.
pub trait TopicRules: fmt::Debug + Send + Sync {
    /// Whether a message with that key may be published (`Write`) or delivered (`Read`).
    fn allow_key(&self, who: &Who, access: Access, key: &[u8]) -> bool;

    /// Whether a queue may be bound with that pattern.
    fn allow_binding(&self, who: &Who, pattern: &[u8]) -> bool;
}

/// What may be done with the keys of an exchange.
#[derive(Debug)]
pub enum TopicGrant {
    /// Expressions over routing keys. `{username}`, `{vhost}` and `{client_id}` in them stand for whoever asks; unlike in RabbitMQ,
    /// what is filled in is taken literally, so that nobody gets more by a name that is an expression.
    Expressions(Expressions),
    /// What the rules say.
    Rules(Arc<dyn TopicRules>),
}

/// One expression for each access.
#[derive(Debug)]
pub struct Expressions {
    write: Expression,
    read: Expression,
}

impl TopicGrant {
    /// An empty expression allows nothing.
    ///
    /// # Errors
    /// The text of the first expression that is not one.
    pub fn new(write: &str, read: &str) -> Result<Self, regex::Error> {
        Ok(Self::Expressions(Expressions { write: Expression::new(write)?, read: Expression::new(read)? }))
    }

    pub(super) fn allows(&self, who: &Who, access: Access, key: &[u8]) -> bool {
        match (self, access) {
            (Self::Rules(rules), _) => rules.allow_key(who, access, key),
            (Self::Expressions(expressions), Access::Write) => expressions.write.matches(who, key),
            (Self::Expressions(expressions), Access::Read) => expressions.read.matches(who, key),
            (Self::Expressions(_), Access::Configure) => false,
        }
    }

    /// RabbitMQ asks an expression for the pattern as it asks for a key.
    pub(super) fn allows_binding(&self, who: &Who, pattern: &[u8]) -> bool {
        match self {
            Self::Rules(rules) => rules.allow_binding(who, pattern),
            Self::Expressions(_) => self.allows(who, Access::Read, pattern),
        }
    }
}

#[derive(Debug)]
enum Expression {
    Nothing,
    Fixed(Regex),
    Variable { text: String, filled_in: Mutex<HashMap<Who, Regex>> },
}

impl Expression {
    fn new(text: &str) -> Result<Self, regex::Error> {
        if text.is_empty() {
            return Ok(Self::Nothing);
        }
        let filled_in = fill_in(text, &Who::default());
        let expression = Regex::new(&filled_in)?;
        Ok(match filled_in {
            Cow::Borrowed(_) => Self::Fixed(expression),
            Cow::Owned(_) => Self::Variable { text: text.to_owned(), filled_in: Mutex::default() },
        })
    }

    fn matches(&self, who: &Who, key: &[u8]) -> bool {
        match self {
            Self::Nothing => false,
            Self::Fixed(expression) => expression.is_match(key),
            Self::Variable { text, filled_in } => {
                let mut filled_in = filled_in.lock();
                if let Some(expression) = filled_in.get(who) {
                    return expression.is_match(key);
                }
                // What is filled in is literal: an expression that was one stays one, unless it grows too large.
                let Ok(expression) = Regex::new(&fill_in(text, who)) else { return false };
                let matches = expression.is_match(key);
                if filled_in.len() >= FILLED_IN_MAX {
                    filled_in.clear();
                }
                filled_in.insert(who.clone(), expression);
                matches
            }
        }
    }
}

/// The text with its variables replaced; borrowed if it has none. A client without an id keeps `{client_id}`, which matches only
/// itself.
fn fill_in<'a>(text: &'a str, who: &Who) -> Cow<'a, str> {
    let client_id = who.client_id.as_deref().unwrap_or("{client_id}");
    let variables = [("{username}", &*who.user), ("{vhost}", &*who.vhost), ("{client_id}", client_id)];
    let mut filled_in = Cow::Borrowed(text);
    for (variable, value) in variables {
        if filled_in.contains(variable) {
            filled_in = Cow::Owned(filled_in.replace(variable, &regex::escape(value)));
        }
    }
    filled_in
}
