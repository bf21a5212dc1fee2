//! A namespace in which nobody has made anything: it has no virtual host, so the core cannot be asked. Questions are answered as if it
//! were empty, and what would make something makes it.

use std::sync::Arc;

use crossdock_common::definition::{Definition, Kept};
use crossdock_common::event::Reply;
use crossdock_common::refusal::{Access, Resource};
use crossdock_common::{Name, Refusal};

use crate::call::Environment;
use crate::directory::Directory;

/// Who asks, and where.
pub(crate) struct Vacancy {
    directory: Arc<dyn Directory>,
    environment: Arc<Environment>,
    user: Name,
}

/// What becomes of a command.
pub(super) enum Answer {
    /// What the core would say, if there were a virtual host with nothing in it.
    Empty(Result<Reply, Refusal>),
    /// This will be there.
    Makes(Resource, Name),
}

impl Vacancy {
    /// `None` if the user has no permission there, or nobody knows.
    pub(crate) fn of(environment: &Arc<Environment>, user: &Name) -> Option<Self> {
        let directory = environment.directory.clone()?;
        let may_enter = directory.may_enter(user, &environment.namespace.vhost);
        may_enter.then(|| Self { directory, environment: environment.clone(), user: user.clone() })
    }

    /// Where it will be.
    pub(super) fn vhost(&self) -> &Name {
        &self.environment.namespace.vhost
    }

    /// Makes the virtual host, if the user may make that in it.
    pub(super) fn settle(&self, resource: Resource, name: Name) -> Result<(), Refusal> {
        let access = Access::Configure;
        if self.directory.may(&self.user, self.vhost(), access, resource, &name) {
            return self.directory.settle(&self.environment);
        }
        Err(Refusal::AccessRefused { access, resource, name, vhost: self.vhost().clone(), user: self.user.clone() })
    }

    pub(super) fn answer(&self, definition: &Definition) -> Answer {
        let missing = |resource, name: &Name| Answer::Empty(Err(self.missing(resource, name)));
        let reply = |reply| Answer::Empty(Ok(reply));
        match definition {
            Definition::DeclareQueue { spec, passive: false } => Answer::Makes(Resource::Queue, spec.name.clone()),
            Definition::DeclareExchange { spec, passive: false } => {
                Answer::Makes(Resource::Exchange, spec.name.clone())
            }
            Definition::SetDocument { name, document: Some(_) } => Answer::Makes(Resource::Exchange, name.clone()),
            Definition::IfKept { kept: Kept::Document { document: None, .. }, change: Some(change) } => {
                self.answer(change)
            }
            Definition::IfKept { kept: Kept::Document { document: None, .. }, change: None } => reply(Reply::Done),
            Definition::IfKept { kept: Kept::Document { .. }, .. } => Answer::Empty(Err(Refusal::Changed)),
            Definition::DeclareQueue { spec, .. } => missing(Resource::Queue, &spec.name),
            Definition::InspectQueue { name }
            | Definition::UpdateQueue { name, .. }
            | Definition::IfKept { kept: Kept::Queue { name, .. }, .. }
            | Definition::ListMoves { source: name }
            | Definition::CancelMove { source: name, .. } => missing(Resource::Queue, name),
            Definition::StartMove(spec) => missing(Resource::Queue, &spec.source),
            Definition::DeclareExchange { spec, .. } => missing(Resource::Exchange, &spec.name),
            Definition::InspectExchange { name }
            | Definition::UpdateExchange { name, .. }
            | Definition::IfKept { kept: Kept::Exchange { name, .. }, .. }
            | Definition::ListBindings { source: Some(name) }
            | Definition::ListDelayed { exchange: name, .. } => missing(Resource::Exchange, name),
            Definition::Bind(spec) | Definition::IfKept { kept: Kept::Binding { binding: spec, .. }, .. } => {
                missing(Resource::Exchange, &spec.source)
            }
            Definition::DeleteQueue { .. } => reply(Reply::Count(0)),
            Definition::DeleteExchange { .. }
            | Definition::SetDocument { document: None, .. }
            | Definition::Unbind(_) => reply(Reply::Done),
            Definition::ListQueues { .. } => reply(Reply::Queues(Vec::new())),
            Definition::ListExchanges { .. } => reply(Reply::Exchanges(Vec::new())),
            Definition::ListBindings { source: None } => reply(Reply::Bindings(Vec::new())),
            Definition::ListDocuments { .. } => reply(Reply::Documents(Vec::new())),
        }
    }

    fn missing(&self, resource: Resource, name: &Name) -> Refusal {
        Refusal::NotFound { resource, name: name.clone(), vhost: self.vhost().clone() }
    }
}
