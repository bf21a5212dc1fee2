//! From words to a program, by recursive descent with a bounded depth.

use super::field::Field;
use super::like::Pattern;
use super::program::{Arithmetic, Comparison, Constant, Op, Program};
use super::token::{Token, tokens};
use super::{SELECTOR_DEPTH_MAX, SelectorError};

/// ActiveMQ's way to say that texts that are numbers compare as numbers.
const CONVERT: &str = "convert_string_expressions:";
/// ActiveMQ's way to say that names may contain `-`.
const HYPHENS: &str = "hyphenated_props:";

type Parsed<T> = Result<T, SelectorError>;

/// Reads a whole selector.
pub(super) fn parse(text: &str) -> Parsed<Program> {
    let (mut rest, mut converts, mut hyphens) = (text.trim_start(), false, false);
    loop {
        if let Some(after) = rest.strip_prefix(CONVERT) {
            (rest, converts) = (after, true);
        } else if let Some(after) = rest.strip_prefix(HYPHENS) {
            (rest, hyphens) = (after, true);
        } else {
            break;
        }
    }
    let offset = text.len() - rest.len();
    let shift = |error: SelectorError| SelectorError { at: error.at + offset, ..error };
    let mut parser = Parser { tokens: tokens(rest, hyphens).map_err(shift)?, next: 0, depth: 0, ops: Vec::new() };
    parser.any().and_then(|()| parser.end()).map_err(shift)?;
    Ok(Program::new(parser.ops, converts))
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
    ops: Vec<Op>,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn error(&self, reason: impl Into<String>) -> SelectorError {
        let place = self.tokens.get(self.next).or(self.tokens.last());
        SelectorError::new(place.map_or(0, |(at, _)| *at), reason)
    }

    fn word(&mut self, keyword: &str) -> bool {
        let is_it = matches!(self.peek(), Token::Word(word) if word.eq_ignore_ascii_case(keyword));
        self.next += usize::from(is_it);
        is_it
    }

    fn sign(&mut self, sign: &str) -> bool {
        let is_it = matches!(self.peek(), Token::Sign(found) if *found == sign);
        self.next += usize::from(is_it);
        is_it
    }

    fn expect_sign(&mut self, sign: &str) -> Parsed<()> {
        if self.sign(sign) { Ok(()) } else { Err(self.error(format!("'{sign}' expected"))) }
    }

    fn end(&self) -> Parsed<()> {
        if *self.peek() == Token::End { Ok(()) } else { Err(self.error("nothing more expected")) }
    }

    fn deeper(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<()>) -> Parsed<()> {
        if self.depth >= SELECTOR_DEPTH_MAX {
            return Err(self.error(format!("nested deeper than {SELECTOR_DEPTH_MAX}")));
        }
        self.depth += 1;
        inner(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn any(&mut self) -> Parsed<()> {
        self.all()?;
        while self.word("or") {
            self.all()?;
            self.ops.push(Op::Or);
        }
        Ok(())
    }

    fn all(&mut self) -> Parsed<()> {
        self.negation()?;
        while self.word("and") {
            self.negation()?;
            self.ops.push(Op::And);
        }
        Ok(())
    }

    fn negation(&mut self) -> Parsed<()> {
        if !self.word("not") {
            return self.comparison();
        }
        self.deeper(Self::negation)?;
        self.ops.push(Op::Not);
        Ok(())
    }

    fn comparison(&mut self) -> Parsed<()> {
        self.sum()?;
        while let Some(comparison) = self.comparison_sign() {
            self.sum()?;
            self.ops.push(Op::Compare(comparison));
        }
        if self.word("is") {
            let negated = self.word("not");
            if !self.word("null") {
                return Err(self.error("NULL expected"));
            }
            return self.negated(negated, Op::IsNull);
        }
        let negated = self.word("not");
        if self.word("between") {
            self.sum()?;
            if !self.word("and") {
                return Err(self.error("AND expected"));
            }
            self.sum()?;
            return self.negated(negated, Op::Between);
        }
        if self.word("in") {
            let among = self.list()?;
            return self.negated(negated, Op::In(among.into()));
        }
        if self.word("like") {
            let pattern = self.pattern()?;
            return self.negated(negated, Op::Like(Box::new(pattern)));
        }
        if negated { Err(self.error("BETWEEN, IN or LIKE expected")) } else { Ok(()) }
    }

    fn negated(&mut self, negated: bool, op: Op) -> Parsed<()> {
        self.ops.push(op);
        self.ops.extend(negated.then_some(Op::Not));
        Ok(())
    }

    fn comparison_sign(&mut self) -> Option<Comparison> {
        let Token::Sign(sign) = self.peek() else { return None };
        let comparison = Comparison::of_sign(sign)?;
        self.next += 1;
        Some(comparison)
    }

    fn list(&mut self) -> Parsed<Vec<Constant>> {
        self.expect_sign("(")?;
        let mut among = Vec::new();
        loop {
            let negative = self.sign("-");
            let constant = match self.take() {
                Token::Text(text) if !negative => Constant::Text(text.into()),
                Token::Int(number) => Constant::Int(if negative { -number } else { number }),
                Token::Float(number) => Constant::Float(if negative { -number } else { number }),
                _ => {
                    self.next -= 1;
                    return Err(self.error("a text or number expected"));
                }
            };
            among.push(constant);
            if !self.sign(",") {
                self.expect_sign(")")?;
                return Ok(among);
            }
        }
    }

    fn pattern(&mut self) -> Parsed<Pattern> {
        let Token::Text(pattern) = self.take() else {
            self.next -= 1;
            return Err(self.error("a pattern in quotes expected"));
        };
        if !self.word("escape") {
            return Pattern::new(&pattern, None).map_err(|reason| self.error(reason));
        }
        let escape = match self.take() {
            Token::Text(text) if text.chars().count() == 1 => text.chars().next(),
            _ => None,
        };
        match escape {
            Some(escape) => Pattern::new(&pattern, Some(escape)).map_err(|reason| self.error(reason)),
            None => {
                self.next -= 1;
                Err(self.error("one character in quotes expected"))
            }
        }
    }

    fn sum(&mut self) -> Parsed<()> {
        self.product()?;
        loop {
            let op = match self.peek() {
                Token::Sign("+") => Arithmetic::Add,
                Token::Sign("-") => Arithmetic::Subtract,
                _ => return Ok(()),
            };
            self.next += 1;
            self.product()?;
            self.ops.push(Op::Calculate(op));
        }
    }

    fn product(&mut self) -> Parsed<()> {
        self.signed()?;
        loop {
            let op = match self.peek() {
                Token::Sign("*") => Arithmetic::Multiply,
                Token::Sign("/") => Arithmetic::Divide,
                _ => return Ok(()),
            };
            self.next += 1;
            self.signed()?;
            self.ops.push(Op::Calculate(op));
        }
    }

    fn signed(&mut self) -> Parsed<()> {
        if self.sign("-") {
            self.deeper(Self::signed)?;
            self.ops.push(Op::Negate);
            return Ok(());
        }
        if self.sign("+") { self.deeper(Self::signed) } else { self.primary() }
    }

    fn primary(&mut self) -> Parsed<()> {
        let op = match self.peek().clone() {
            Token::Sign("(") => {
                self.next += 1;
                self.deeper(Self::any)?;
                return self.expect_sign(")");
            }
            Token::Text(text) => Op::Push(Constant::Text(text.into())),
            Token::Int(number) => Op::Push(Constant::Int(number)),
            Token::Float(number) => Op::Push(Constant::Float(number)),
            Token::Quoted(name) => Op::Field(Field::of_name(&name)),
            Token::Word(word) => self.name_or_truth(&word)?,
            Token::Sign(sign) => return Err(self.error(format!("a value expected, not '{sign}'"))),
            Token::End => return Err(self.error("a value expected")),
        };
        self.next += 1;
        self.ops.push(op);
        Ok(())
    }

    fn name_or_truth(&self, word: &str) -> Parsed<Op> {
        const KEYWORDS: [&str; 9] = ["not", "and", "or", "between", "like", "in", "is", "escape", "null"];
        if KEYWORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword)) {
            return Err(self.error(format!("a value expected, not '{word}'")));
        }
        Ok(match word {
            _ if word.eq_ignore_ascii_case("true") => Op::Push(Constant::Bool(true)),
            _ if word.eq_ignore_ascii_case("false") => Op::Push(Constant::Bool(false)),
            name => Op::Field(Field::of_name(name)),
        })
    }
}
