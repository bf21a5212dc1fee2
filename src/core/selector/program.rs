//! What a selector does: operations on a small stack, each done once, in order.

use std::borrow::Cow;
use std::cmp::Ordering;

use crossdock_common::Message;
use smallvec::SmallVec;

use super::field::Field;
use super::like::Pattern;

/// One operation: takes its operands from the stack and leaves its result there.
#[derive(Debug)]
pub(super) enum Op {
    Push(Constant),
    Field(Field),
    And,
    Or,
    Not,
    Compare(Comparison),
    Calculate(Arithmetic),
    Negate,
    IsNull,
    Between,
    In(Box<[Constant]>),
    Like(Box<Pattern>),
}

/// A value that stands in the selector.
#[derive(Debug)]
pub(super) enum Constant {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// A value while a message is looked at.
#[derive(Clone, Debug)]
pub(super) enum Operand<'m> {
    /// SQL's NULL: neither true nor false, and equal to nothing.
    Unknown,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'m, str>),
}

type Stack<'m> = SmallVec<[Operand<'m>; 8]>;

impl Comparison {
    pub(super) fn of_sign(sign: &str) -> Option<Self> {
        Some(match sign {
            "=" => Self::Equal,
            "<>" | "!=" => Self::Unequal,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Unequal => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }

    fn is_of_order(self) -> bool {
        !matches!(self, Self::Equal | Self::Unequal)
    }
}

impl Constant {
    fn operand(&self) -> Operand<'_> {
        match self {
            Self::Bool(truth) => Operand::Bool(*truth),
            Self::Int(number) => Operand::Int(*number),
            Self::Float(number) => Operand::Float(*number),
            Self::Text(text) => Operand::Text(Cow::Borrowed(text)),
        }
    }
}

impl Operand<'_> {
    fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Float(_))
    }

    /// A text that is a number, as that number.
    fn converted(self) -> Self {
        let Self::Text(text) = &self else { return self };
        let text = text.trim();
        text.parse().map(Self::Int).or_else(|_| text.parse().map(Self::Float)).unwrap_or(Self::Unknown)
    }
}

fn of_truth<'m>(truth: Option<bool>) -> Operand<'m> {
    truth.map_or(Operand::Unknown, Operand::Bool)
}

/// A selector as it is carried out.
#[derive(Debug)]
pub(super) struct Program {
    ops: Box<[Op]>,
    /// Texts that are numbers compare with numbers.
    converts: bool,
}

impl Program {
    pub(super) fn new(ops: Vec<Op>, converts: bool) -> Self {
        Self { ops: ops.into(), converts }
    }

    pub(super) fn is_true(&self, message: &Message) -> bool {
        let mut stack = Stack::new();
        for op in &self.ops {
            let result = self.carry_out(op, message, &mut stack);
            stack.push(result);
        }
        matches!(stack.pop(), Some(Operand::Bool(true)))
    }

    fn carry_out<'m>(&'m self, op: &'m Op, message: &'m Message, stack: &mut Stack<'m>) -> Operand<'m> {
        let mut pop = || stack.pop().unwrap_or(Operand::Unknown);
        match op {
            Op::Push(constant) => constant.operand(),
            Op::Field(field) => field.of(message),
            Op::And => and(pop().truth(), pop().truth()),
            Op::Or => or(pop().truth(), pop().truth()),
            Op::Not => of_truth(pop().truth().map(|truth| !truth)),
            Op::IsNull => Operand::Bool(matches!(pop(), Operand::Unknown)),
            Op::Negate => negate(self.number(pop())),
            Op::Compare(comparison) => {
                let (right, left) = (pop(), pop());
                self.compare(*comparison, left, right)
            }
            Op::Calculate(arithmetic) => {
                let (right, left) = (self.number(pop()), self.number(pop()));
                calculate(*arithmetic, &left, &right)
            }
            Op::Between => {
                let (high, low, value) = (pop(), pop(), pop());
                let above = self.compare(Comparison::GreaterOrEqual, value.clone(), low);
                and(above.truth(), self.compare(Comparison::LessOrEqual, value, high).truth())
            }
            Op::In(among) => {
                let value = pop();
                let is_it = |one: &Constant| {
                    self.compare(Comparison::Equal, value.clone(), one.operand()).truth() == Some(true)
                };
                of_truth((!matches!(value, Operand::Unknown)).then(|| among.iter().any(is_it)))
            }
            Op::Like(pattern) => match pop() {
                Operand::Text(text) => of_truth(pattern.is_like(&text)),
                _ => Operand::Unknown,
            },
        }
    }

    fn number<'m>(&self, operand: Operand<'m>) -> Operand<'m> {
        if self.converts { operand.converted() } else { operand }
    }

    fn compare<'m>(&self, comparison: Comparison, left: Operand<'m>, right: Operand<'m>) -> Operand<'m> {
        let (left, right) = match (left.is_number(), right.is_number()) {
            (true, false) => (left, self.number(right)),
            (false, true) => (self.number(left), right),
            _ => (left, right),
        };
        let ordering = match (&left, &right) {
            (Operand::Bool(left), Operand::Bool(right)) if !comparison.is_of_order() => Some(left.cmp(right)),
            (Operand::Text(left), Operand::Text(right)) => Some(left.cmp(right)),
            (Operand::Int(left), Operand::Int(right)) => Some(left.cmp(right)),
            _ => float(&left).zip(float(&right)).and_then(|(left, right)| left.partial_cmp(&right)),
        };
        of_truth(ordering.map(|ordering| comparison.holds(ordering)))
    }
}

fn and<'m>(one: Option<bool>, other: Option<bool>) -> Operand<'m> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Operand::Bool(false),
        (Some(true), Some(true)) => Operand::Bool(true),
        _ => Operand::Unknown,
    }
}

fn or<'m>(one: Option<bool>, other: Option<bool>) -> Operand<'m> {
    match (one, other) {
        (Some(true), _) | (_, Some(true)) => Operand::Bool(true),
        (Some(false), Some(false)) => Operand::Bool(false),
        _ => Operand::Unknown,
    }
}

fn float(operand: &Operand<'_>) -> Option<f64> {
    match operand {
        Operand::Int(number) => Some(*number as f64),
        Operand::Float(number) => Some(*number),
        _ => None,
    }
}

fn negate(operand: Operand<'_>) -> Operand<'_> {
    match operand {
        Operand::Int(number) => number.checked_neg().map_or(Operand::Unknown, Operand::Int),
        Operand::Float(number) => Operand::Float(-number),
        _ => Operand::Unknown,
    }
}

/// What has no result (a division by 0, more than 64 bits) is unknown.
fn calculate<'m>(arithmetic: Arithmetic, left: &Operand<'_>, right: &Operand<'_>) -> Operand<'m> {
    if let (Operand::Int(left), Operand::Int(right)) = (left, right) {
        let result = match arithmetic {
            Arithmetic::Add => left.checked_add(*right),
            Arithmetic::Subtract => left.checked_sub(*right),
            Arithmetic::Multiply => left.checked_mul(*right),
            Arithmetic::Divide => left.checked_div(*right),
        };
        return result.map_or(Operand::Unknown, Operand::Int);
    }
    let Some((left, right)) = float(left).zip(float(right)) else { return Operand::Unknown };
    Operand::Float(match arithmetic {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
    })
}
