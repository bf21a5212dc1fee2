//! Access policies, evaluated as IAM does it: pure, without a queue or a user of the broker.
//!
//! A policy's text is read once into a [`Policy`]; a [`Question`] (who, what, on what, under which circumstances) is put to that. An
//! explicit deny wins over every allow; what no statement speaks of is neither.
//!
//! Reference: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html>

mod condition;
mod context;
pub(crate) mod edit;
mod parse;
mod pattern;
mod value;

use std::sync::Arc;

pub(crate) use context::Context;
pub(crate) use parse::Malformed;
pub(crate) use value::Network;

use condition::Condition;
use pattern::Pattern;

use crate::wire::Service;

/// A policy that was read.
#[derive(Debug)]
pub(crate) struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug)]
struct Statement {
    effect: Effect,
    principals: Except<Vec<Principal>>,
    actions: Except<Vec<Pattern>>,
    /// `None`: whatever has the policy.
    resources: Option<Except<Vec<Pattern>>>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

/// What an element names, or (`NotPrincipal`, `NotAction`, `NotResource`) everything else.
#[derive(Debug)]
enum Except<T> {
    Only(T),
    AllBut(T),
}

/// Whom a statement names.
#[derive(Debug, PartialEq, Eq)]
enum Principal {
    Anybody,
    /// Everybody of an account of 12 digits.
    Account(String),
    /// One user, role or session.
    Arn(String),
    /// An AWS service, such as `sns.amazonaws.com`.
    Service(Pattern),
    /// Somebody whom an identity provider knows. Nobody here is, so it names nobody.
    Federated,
    /// A canonical user id. Nobody here has one.
    Canonical,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A user of an account.
    User { account: String, arn: String },
    /// A service that acts on its own.
    Service(&'static str),
}

/// Whether somebody may do something.
#[derive(Clone, Debug)]
pub(crate) struct Question<'a> {
    pub caller: &'a Caller,
    /// The account of the resource.
    pub owner: &'a str,
    /// With its service: `sqs:SendMessage`.
    pub action: &'a str,
    /// An ARN.
    pub resource: &'a str,
    pub context: &'a Context,
}

/// What a policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// A statement gives it to the caller.
    Allowed,
    /// A statement denies it, whatever others say.
    Denied,
    /// No statement speaks of it.
    Silent,
}

impl Policy {
    /// Reads a policy of a resource of that service.
    ///
    /// # Errors
    /// It is no policy, or speaks of other services.
    pub(crate) fn parse(text: &str, service: Service) -> Result<Arc<Self>, Malformed> {
        parse::policy(text, service).map(Arc::new)
    }

    /// Reads one that is to be kept from now on: it says something, each statement has an id of its own if it has one, and it names no
    /// action that the service does not have. Older ones that do not are kept and hold.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), or it is not so.
    pub(crate) fn parse_new(text: &str, service: Service, actions: &[&str]) -> Result<Arc<Self>, Malformed> {
        let policy = Self::parse(text, service)?;
        parse::scrutinize(&policy, text)?;
        let is_known = |pattern: &Pattern| {
            actions.iter().any(|action| pattern.matches_ignoring_case(&format!("{}:{action}", service.prefix())))
        };
        let known = |statement: &Statement| match &statement.actions {
            Except::Only(named) | Except::AllBut(named) => named.iter().all(is_known),
        };
        if policy.statements.iter().all(known) { Ok(policy) } else { Err(Malformed("an action does not exist")) }
    }

    pub(crate) fn decide(&self, question: &Question<'_>) -> Decision {
        let mut decision = Decision::Silent;
        for statement in self.statements.iter().filter(|statement| statement.applies(question)) {
            match statement.effect {
                Effect::Deny => return Decision::Denied,
                Effect::Allow if statement.gives(question) => decision = Decision::Allowed,
                Effect::Allow => {}
            }
        }
        decision
    }
}

impl Statement {
    fn applies(&self, question: &Question<'_>) -> bool {
        let Question { caller, action, resource, context, .. } = question;
        let is_action = |pattern: &Pattern| pattern.matches_ignoring_case(action);
        let is_resource = |pattern: &Pattern| pattern.resolved(context).matches(resource);
        self.concerns(caller)
            && self.actions.has(|actions| actions.iter().any(is_action))
            && self.resources.as_ref().is_none_or(|resources| resources.has(|all| all.iter().any(is_resource)))
            && self.conditions.iter().all(|condition| condition.holds(context))
    }

    fn concerns(&self, caller: &Caller) -> bool {
        let is_named = |named: &[Principal]| named.iter().any(|principal| principal.is(caller));
        match (&self.principals, self.effect) {
            (Except::Only(named), _) => is_named(named),
            (Except::AllBut(named), Effect::Allow) => !is_named(named),
            (Except::AllBut(named), Effect::Deny) => !caller.is_spared(named),
        }
    }

    /// Whether a statement that applies gives something by itself. One that names the owner's own account leaves it to that account's
    /// permissions; one with a condition that nobody here can judge gives nothing.
    fn gives(&self, question: &Question<'_>) -> bool {
        let Question { caller, owner, .. } = question;
        let gives = |principal: &Principal| principal.is(caller) && !principal.is_account(owner);
        let names_caller = match &self.principals {
            Except::Only(principals) => principals.iter().any(gives),
            Except::AllBut(_) => true,
        };
        names_caller && self.conditions.iter().all(Condition::can_be_judged)
    }
}

impl<T> Except<T> {
    fn has(&self, among: impl FnOnce(&T) -> bool) -> bool {
        match self {
            Self::Only(named) => among(named),
            Self::AllBut(named) => !among(named),
        }
    }
}

impl Caller {
    /// Whether the `NotPrincipal` of a Deny names the caller. IAM looks at the account first, and then at the user: a user is spared whose
    /// account is named, too, and an account that is named spares none of its users.
    fn is_spared(&self, named: &[Principal]) -> bool {
        let has = |wanted: &dyn Fn(&Principal) -> bool| named.iter().any(wanted);
        match self {
            Self::User { account, arn } => {
                let is_user = |principal: &Principal| matches!(principal, Principal::Arn(named) if named == arn);
                has(&|principal| principal.is_account(account)) && has(&is_user) || named.contains(&Principal::Anybody)
            }
            Self::Service(_) => has(&|principal| principal.is(self)),
        }
    }
}

impl Principal {
    fn is(&self, caller: &Caller) -> bool {
        match (self, caller) {
            (Self::Anybody, _) => true,
            (Self::Account(named), Caller::User { account, .. }) => named == account,
            (Self::Arn(named), Caller::User { arn, .. }) => named == arn,
            (Self::Service(named), Caller::Service(service)) => named.matches(service),
            _ => false,
        }
    }

    fn is_account(&self, account: &str) -> bool {
        matches!(self, Self::Account(named) if named == account)
    }
}

#[cfg(test)]
mod tests;
