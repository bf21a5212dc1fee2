//! What an import would do, and why not more.

use std::collections::{HashMap, HashSet};

use super::entries::{Entry, Section, UserEntry};
use super::export::{export, is_predeclared};
use super::file::Definitions;
use crate::administration::{
    Administration, Origin, PolicyKind, PolicyRecord, VhostRecord, is_ignored_policy_key, operator_parameter,
    policy_of_parameter, validate_policy,
};
use crate::auth::PasswordHash;
use crossdock_common::Now;

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// It is imported as it stands.
    Kept,
    /// It is imported, and something about it is, or works, differently.
    Changed,
    /// It is there just so: nothing is done.
    Present,
    /// It is not imported.
    Dropped,
}

/// One entry and what becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub section: Section,
    /// What it is called in a report.
    pub identity: String,
    pub fate: Fate,
    /// Why it is not simply kept; empty if it is.
    pub why: String,
    /// What is to be done.
    pub(super) entry: Option<Entry>,
}

/// What becomes of every entry of a file, in the order in which it is done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Keys of the file that nobody knows.
    pub unknown: Vec<String>,
}

impl Plan {
    /// How many entries have that fate.
    pub fn count(&self, fate: Fate) -> usize {
        self.steps.iter().filter(|step| step.fate == fate).count()
    }

    /// Nothing would be done.
    pub fn is_empty(&self) -> bool {
        self.steps.iter().all(|step| matches!(step.fate, Fate::Present | Fate::Dropped))
    }
}

/// Compares a file with what is there.
pub fn plan(definitions: Definitions, administration: &Administration, now: Now) -> Plan {
    let present = export(administration, now, None).entries;
    let present: HashMap<_, _> =
        present.into_iter().map(|entry| ((entry.section(), entry.identity()), entry)).collect();
    let there = present.keys().cloned().collect();
    let mut planner = Planner { present, declared: declared(administration), there };
    let mut entries = definitions.entries;
    let is_missing = |vhost: &VhostRecord| !planner.there.contains(&(Section::Vhosts, vhost.name.clone()));
    let described = |vhost: &VhostRecord| *vhost != VhostRecord { name: vhost.name.clone(), ..VhostRecord::default() };
    entries.extend(definitions.own_vhost.filter(|vhost| is_missing(vhost) || described(vhost)).map(Entry::Vhost));
    entries.sort_by_key(Entry::section);
    let unreadable = definitions.unreadable.into_iter().map(|(section, identity, why)| Step {
        section,
        identity,
        fate: Fate::Dropped,
        why: format!("not understood: {why}"),
        entry: None,
    });
    let steps = unreadable.chain(entries.into_iter().map(|entry| planner.step(entry))).collect();
    Plan { steps, unknown: definitions.unknown }
}

/// What the configuration file declares, and nobody else may change.
fn declared(administration: &Administration) -> HashSet<(Section, String)> {
    let of_file = |origin: &Origin| *origin == Origin::Configuration;
    let users = administration.users().into_iter().filter(|(_, origin)| of_file(origin));
    let users = users.map(|(user, _)| (Section::Users, user.name));
    let permissions = administration.permissions().into_iter().filter(|(_, origin)| of_file(origin));
    let permissions = permissions.map(|(record, _)| Entry::Permission(record));
    let policies = administration.policies(PolicyKind::Policy).into_iter().filter(|(_, origin)| of_file(origin));
    let policies = policies.map(|(record, _)| Entry::Policy(record));
    let operator = administration.policies(PolicyKind::Operator).into_iter().filter(|(_, origin)| of_file(origin));
    let operator = operator.map(|(record, _)| Entry::Parameter(operator_parameter(record)));
    let others = permissions.chain(policies).chain(operator).map(|entry| (entry.section(), entry.identity()));
    users.chain(others).collect()
}

struct Planner {
    present: HashMap<(Section, String), Entry>,
    declared: HashSet<(Section, String)>,
    /// What is there, or will be by then.
    there: HashSet<(Section, String)>,
}

/// What was found out about an entry: it is imported (with a remark or without), is there, or is dropped.
enum Verdict {
    Import(Entry, String),
    Present,
    Drop(String),
}

impl Planner {
    fn step(&mut self, entry: Entry) -> Step {
        let (section, identity) = (entry.section(), entry.identity());
        let (fate, why, entry) = match self.judge(entry) {
            Verdict::Import(entry, why) if why.is_empty() => (Fate::Kept, why, Some(entry)),
            Verdict::Import(entry, why) => (Fate::Changed, why, Some(entry)),
            Verdict::Present => (Fate::Present, String::new(), None),
            Verdict::Drop(why) => (Fate::Dropped, why, None),
        };
        if entry.is_some() {
            self.there.insert((section, identity.clone()));
        }
        Step { section, identity, fate, why, entry }
    }

    fn judge(&self, mut entry: Entry) -> Verdict {
        let key = (entry.section(), entry.identity());
        let has_no_password = match &mut entry {
            Entry::User(user) => self.forget_unknown_hash(user),
            _ => false,
        };
        let known = self.present.get(&key);
        if known.is_some_and(|known| is_same(known, &entry)) {
            return Verdict::Present;
        }
        if self.declared.contains(&key) {
            return Verdict::Drop("the configuration file declares it otherwise".to_owned());
        }
        if let Some(why) = self.missing(&entry) {
            return Verdict::Drop(why);
        }
        let replaces = if known.is_some() { "replaces what is there" } else { "" }.to_owned();
        match entry {
            Entry::User(_) if has_no_password => {
                let why = "comes without its password, whose hash is of an unknown kind: set a new one";
                Verdict::Import(entry, why.to_owned())
            }
            Entry::Permission(_) | Entry::TopicPermission(_) => expressions(entry, replaces),
            Entry::Parameter(ref parameter) if parameter.component == "operator_policy" => {
                match policy_of_parameter(parameter.clone()) {
                    Ok(policy) => remark(PolicyKind::Operator, &policy, replaces).import(entry),
                    Err(error) => Verdict::Drop(one_line(&error.to_string())),
                }
            }
            Entry::Parameter(ref parameter) if Administration::is_unsupported_component(&parameter.component) => {
                let remark = format!("kept, without effect: {} is not supported", parameter.component);
                Verdict::Import(entry, remark)
            }
            Entry::Policy(ref policy) => remark(PolicyKind::Policy, policy, replaces).import(entry),
            Entry::Exchange(_) | Entry::Queue(_) if known.is_some() => {
                Verdict::Drop("is there with other properties, and stays as it is".to_owned())
            }
            Entry::Exchange(ref exchange) if is_predeclared(&exchange.name) => {
                Verdict::Drop("every vhost has it".to_owned())
            }
            Entry::Exchange(_) | Entry::Queue(_) => match super::apply::check(&entry) {
                Ok(()) => Verdict::Import(entry, String::new()),
                Err(refusal) => Verdict::Drop(refusal.to_string()),
            },
            entry => Verdict::Import(entry, replaces),
        }
    }

    /// What the entry needs and nobody has.
    fn missing(&self, entry: &Entry) -> Option<String> {
        let vhost = entry.vhost().filter(|_| entry.section() != Section::Vhosts).unwrap_or_default();
        let lacks = |section: Section, name: &str| !self.there.contains(&(section, name.to_owned()));
        if !vhost.is_empty() && lacks(Section::Vhosts, vhost) {
            return Some(format!("there is no vhost '{vhost}'"));
        }
        let no_user = |user: &str| lacks(Section::Users, user).then(|| format!("there is no user '{user}'"));
        let no_exchange = |name: &str| {
            let is_missing = !is_predeclared(name) && lacks(Section::Exchanges, &format!("{name} in {vhost}"));
            is_missing.then(|| format!("there is no exchange '{name}'"))
        };
        let no_queue = |name: &str| {
            lacks(Section::Queues, &format!("{name} in {vhost}")).then(|| format!("there is no queue '{name}'"))
        };
        match entry {
            Entry::Permission(record) => no_user(&record.user),
            Entry::TopicPermission(record) => no_user(&record.user),
            Entry::Binding(binding) => no_exchange(&binding.source).or_else(|| match &*binding.destination_type {
                "exchange" => no_exchange(&binding.destination),
                _ => no_queue(&binding.destination),
            }),
            _ => None,
        }
    }

    /// A hash that cannot be checked gives way to the password that the user has, if there is one. Says whether it did.
    fn forget_unknown_hash(&self, user: &mut UserEntry) -> bool {
        if user.password_hash.is_empty() || PasswordHash::parse(&user.password_hash).is_ok() {
            return false;
        }
        user.password_hash = match self.present.get(&(Section::Users, user.name.clone())) {
            Some(Entry::User(known)) => known.password_hash.clone(),
            _ => String::new(),
        };
        true
    }
}

/// Whether nothing would have to be done. A queue that was declared without a kind has the one of its vhost.
fn is_same(known: &Entry, asked: &Entry) -> bool {
    const KIND: &str = "x-queue-type";
    match (known, asked) {
        (Entry::Queue(known), Entry::Queue(asked)) if !asked.arguments.contains_key(KIND) => {
            let mut known = known.clone();
            known.arguments.remove(KIND);
            known == *asked
        }
        _ => known == asked,
    }
}

fn expressions(entry: Entry, replaces: String) -> Verdict {
    let texts: Vec<&str> = match &entry {
        Entry::Permission(record) => vec![&record.configure, &record.write, &record.read],
        Entry::TopicPermission(record) => vec![&record.write, &record.read],
        _ => Vec::new(),
    };
    let without_variables = |text: &str| text.replace(['{', '}'], "");
    let wrong = texts.into_iter().find(|text| regex::Regex::new(&without_variables(text)).is_err());
    match wrong {
        Some(text) => Verdict::Drop(format!(
            "the expression '{text}' is not understood (there is no look-around and no back-reference): nothing is allowed"
        )),
        None => Verdict::Import(entry, replaces),
    }
}

/// Whether a policy can be imported, and what is to be said of it.
fn remark(kind: PolicyKind, policy: &PolicyRecord, replaces: String) -> Remark {
    if let Err(text) = validate_policy(kind, policy) {
        return Remark::Wrong(one_line(&text));
    }
    let ignored: Vec<&str> =
        policy.definition.keys().map(String::as_str).filter(|name| is_ignored_policy_key(name)).collect();
    match ignored.as_slice() {
        [] => Remark::Fine(replaces),
        names => Remark::Fine(format!("without effect here: {}", names.join(", "))),
    }
}

enum Remark {
    Fine(String),
    Wrong(String),
}

impl Remark {
    fn import(self, entry: Entry) -> Verdict {
        match self {
            Self::Fine(remark) => Verdict::Import(entry, remark),
            Self::Wrong(why) => Verdict::Drop(why),
        }
    }
}

fn one_line(text: &str) -> String {
    text.replace("Validation failed", "").split_whitespace().collect::<Vec<_>>().join(" ")
}
