//! The namespaces that callers ask for: their virtual hosts are made when somebody who may makes something there.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use crossdock_aws::namespaces::VHOST_PREFIX;
use crossdock_aws::{Directory, Environment, Failure, Memory, Namespace};
use crossdock_common::definition::BindingSpec;
use crossdock_common::refusal::{Access, Resource};
use crossdock_common::{Name, Refusal, Table};
use parking_lot::Mutex;

use crate::administration::VhostRecord;
use crate::broker::Engine;

/// Most virtual hosts of namespaces: callers may make queues in whatever region they like.
const VHOSTS_MAX: usize = 200;

/// What calls share, by namespace.
pub(super) struct Namespaces {
    engine: Arc<Engine>,
    rules: crossdock_aws::Namespaces,
    home: Arc<Environment>,
    others: Mutex<BTreeMap<Name, Arc<Environment>>>,
}

impl Namespaces {
    pub(super) fn new(engine: Arc<Engine>, rules: crossdock_aws::Namespaces, home: Environment) -> Arc<Self> {
        Arc::new_cyclic(|all: &Weak<Self>| {
            let home = Environment { directory: Some(Arc::new(Known(all.clone()))), ..home };
            Self { engine, rules, home: Arc::new(home), others: Mutex::default() }
        })
    }

    /// That of an account and a region that somebody has used already.
    pub(super) fn find(&self, account: Option<&str>, region: Option<&str>) -> Option<Arc<Environment>> {
        let namespace = self.rules.of(account, region)?;
        self.engine.broker.has_vhost(&namespace.vhost).then(|| self.environment(namespace))
    }

    /// The same, also where nobody has made anything yet.
    ///
    /// # Errors
    /// There can be no such namespace.
    pub(super) fn of(&self, account: Option<&str>, region: Option<&str>) -> Result<Arc<Environment>, Failure> {
        if self.rules.is_home(account, region) {
            return Ok(self.home.clone());
        }
        self.rules.of(account, region).map(|namespace| self.environment(namespace)).ok_or_else(wrong_region)
    }

    fn environment(&self, namespace: Namespace) -> Arc<Environment> {
        if namespace.vhost == self.home.namespace.vhost {
            return self.home.clone();
        }
        if let Some(known) = self.others.lock().get(&namespace.vhost) {
            return known.clone();
        }
        let is_there = self.engine.broker.has_vhost(&namespace.vhost);
        let environment = Arc::new(self.environment_apart(namespace));
        // Callers may sign for whatever region they like: nothing is remembered of those that have nothing.
        if is_there { self.keep(environment) } else { environment }
    }

    fn keep(&self, environment: Arc<Environment>) -> Arc<Environment> {
        self.others.lock().entry(environment.namespace.vhost.clone()).or_insert(environment).clone()
    }

    /// What one namespace remembers and signs says nothing to another.
    fn environment_apart(&self, namespace: Namespace) -> Environment {
        let receipt_key = [self.home.receipt_key.as_slice(), namespace.vhost.as_bytes()].concat();
        Environment { namespace, receipt_key, memory: Arc::new(Memory::default()), ..(*self.home).clone() }
    }

    fn make(&self, namespace: &Namespace) -> Result<(), Refusal> {
        let names = self.engine.broker.vhost_names();
        if names.iter().filter(|name| name.starts_with(VHOST_PREFIX)).count() >= VHOSTS_MAX {
            let text = format!("There are {VHOSTS_MAX} accounts and regions, which is the limit.");
            return Err(Refusal::Unavailable(text));
        }
        let record = VhostRecord { name: namespace.vhost.to_string(), ..VhostRecord::default() };
        // What will be in it is in the same log, so it is durable no sooner.
        let _ =
            self.engine.administration.put_vhost(record).map_err(|error| Refusal::Unavailable(error.to_string()))?;
        let Namespace { vhost, account, region, .. } = namespace;
        // Whoever looks for what other protocols use has to know.
        let home = format!("{} in {}", self.rules.account, self.rules.region);
        tracing::info!(%vhost, account, region, home, "a virtual host was made for an AWS account and region");
        Ok(())
    }
}

/// What calls may ask about all namespaces.
struct Known(Weak<Namespaces>);

impl Directory for Known {
    fn attributes(&self, vhost: &Name, resource: Resource, name: &Name) -> Option<Table> {
        let broker = &self.0.upgrade()?.engine.broker;
        match resource {
            Resource::Exchange => broker.exchange_attributes(vhost, name),
            _ => broker.queue_attributes(vhost, name),
        }
    }

    fn bindings(&self, vhost: &Name, source: Option<&Name>) -> Vec<Arc<BindingSpec>> {
        let Some(all) = self.0.upgrade() else { return Vec::new() };
        let broker = &all.engine.broker;
        source.map_or_else(|| broker.bindings(vhost), |source| broker.bindings_from(vhost, source))
    }

    fn namespaces(&self) -> Vec<Namespace> {
        let Some(all) = self.0.upgrade() else { return Vec::new() };
        let names = all.engine.broker.vhost_names();
        names.iter().filter_map(|vhost| all.rules.of_vhost(vhost)).collect()
    }

    fn may(&self, user: &Name, vhost: &Name, access: Access, resource: Resource, name: &Name) -> bool {
        self.0.upgrade().is_some_and(|all| all.engine.administration.may(user, vhost, access, resource, name))
    }

    fn may_enter(&self, user: &Name, vhost: &Name) -> bool {
        self.0.upgrade().is_some_and(|all| all.engine.administration.may_enter(user, vhost))
    }

    fn settle(&self, environment: &Arc<Environment>) -> Result<(), Refusal> {
        let Some(all) = self.0.upgrade() else { return Ok(()) };
        if !all.engine.broker.has_vhost(&environment.namespace.vhost) {
            all.make(&environment.namespace)?;
        }
        if environment.namespace.vhost != all.home.namespace.vhost {
            all.keep(environment.clone());
        }
        Ok(())
    }

    fn find(&self, account: &str, region: Option<&str>) -> Option<Arc<Environment>> {
        self.0.upgrade()?.find(Some(account), region)
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Known").finish()
    }
}

fn wrong_region() -> Failure {
    Failure::Signature("Credential should be scoped to a valid region.".to_owned())
}
