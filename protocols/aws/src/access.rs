//! Access policies at the actions, as IAM decides: what a policy denies is refused, whoever asks; what the user's permissions do not give,
//! a policy may. README.md says more.
//!
//! The core asks for permission itself, for every command. What a policy allows it is told as a [`Warrant`](crossdock_common::Warrant)
//! for this request, this resource and this kind of action.

mod refusal;
mod subject;
mod subscriber;
mod warrants;

pub(crate) use subject::owner_of;
pub(crate) use subscriber::{check_home, check_owner, home_place, is_queue_at_home, lend, lend_direct, let_end};

use crossdock_common::{Name, Refusal};

use crate::calendar::iso8601;
use crate::call::Job;
use crate::desk::Vacancy;
use crate::error::Failure;
use crate::policy::{Caller, Context, Decision, Question};
use crate::sns;
use crate::wire::Service;
use refusal::Reason;

/// The service that delivers what topics get.
pub(crate) const SNS: &str = "sns.amazonaws.com";

/// What has a policy.
pub(crate) struct Resource<'a> {
    pub service: Service,
    /// The name of the queue or topic.
    pub name: &'a str,
    /// The policy's text, if there is one.
    pub policy: Option<&'a str>,
}

impl Resource<'_> {
    /// Refuses what the policy denies the caller to do by this request, and lets him do what it allows. What is another account's has
    /// to be allowed.
    pub(crate) fn check(&self, job: &Job) -> Result<(), Failure> {
        match self.decide_for_user(job, &job.action) {
            Decision::Denied => Err(self.refuse(job, &job.action, Reason::Denied)),
            Decision::Allowed => self.let_through(job),
            Decision::Silent if job.is_foreign() => Err(self.refuse(job, &job.action, Reason::NotShared)),
            Decision::Silent if !warrants::let_writer_send(job, self) => {
                Err(self.refuse(job, &job.action, Reason::NotPermitted))
            }
            Decision::Silent => Ok(()),
        }
    }

    /// Refuses what the policy denies for another action than the request's own, which it cannot give.
    pub(crate) fn check_action(&self, job: &Job, action: &str) -> Result<(), Failure> {
        match self.decide_for_user(job, action) {
            Decision::Denied => Err(self.refuse(job, action, Reason::Denied)),
            Decision::Allowed | Decision::Silent => Ok(()),
        }
    }

    /// What the user's permissions refuse is for the policy to give, if it does.
    fn appeal(&self, job: &Job) -> Result<(), Failure> {
        match self.decide_for_user(job, &job.action) {
            Decision::Allowed => self.let_through(job),
            Decision::Denied => Err(self.refuse(job, &job.action, Reason::Denied)),
            Decision::Silent if job.is_foreign() => Err(self.refuse(job, &job.action, Reason::NotShared)),
            Decision::Silent => Err(self.refuse(job, &job.action, Reason::NotPermitted)),
        }
    }

    /// The policy allows it. In another account the user's own has to, as well.
    fn let_through(&self, job: &Job) -> Result<(), Failure> {
        let right = warrants::right(self.service, &job.action);
        match right {
            Some(right) if job.is_foreign() && !warrants::is_permitted_at_home(job, self, right) => {
                Err(self.refuse(job, &job.action, Reason::NotPermitted))
            }
            Some(right) => {
                warrants::give(job, self, right);
                Ok(())
            }
            None if job.is_foreign() => Err(self.refuse(job, &job.action, Reason::NotShared)),
            None => Ok(()),
        }
    }

    fn decide_for_user(&self, job: &Job, action: &str) -> Decision {
        if self.policy.is_none() {
            return Decision::Silent;
        }
        let arn = job.user_arn();
        let caller = Caller::User { account: job.account().to_owned(), arn: arn.clone() };
        match self.decide(job, (&caller, action), || user_context(job, self.service, &arn)) {
            // Nobody has signed: that may be anybody.
            Decision::Allowed if !job.is_signed => Decision::Silent,
            decision => decision,
        }
    }

    fn decide(&self, job: &Job, (caller, action): (&Caller, &str), context: impl FnOnce() -> Context) -> Decision {
        let policy = self.policy.and_then(|text| job.environment.memory.policy(self.service, text));
        let Some(policy) = policy else { return Decision::Silent };
        let (action, resource, context) = (self.action(action), self.arn(job), context());
        let owner = job.place.account.as_str();
        policy.decide(&Question { caller, owner, action: &action, resource: &resource, context: &context })
    }

    fn arn(&self, job: &Job) -> String {
        match self.service {
            Service::Sns => job.place.topic_arn(self.name),
            _ => job.place.queue_arn(self.name),
        }
    }

    /// Batches are what their entries are.
    fn action(&self, action: &str) -> String {
        format!("{}:{}", self.service.prefix(), action.strip_suffix("Batch").unwrap_or(action))
    }

    fn refuse(&self, job: &Job, action: &str, reason: Reason) -> Failure {
        refusal::of_user(job, self, action, reason)
    }
}

/// Enters the virtual host of what the request is about: the user's permissions lead there, or a policy does.
pub(crate) async fn enter(job: &Job, service: Service) -> Result<(), Failure> {
    let vhost = &job.environment.namespace.vhost;
    if job.is_foreign() {
        match sns::named(job, service)? {
            Some((topic, id)) => subscriber::appeal(job, &topic, &id)?,
            None => appeal_for_subject(job, service)?,
        }
        return job.desk.open(vhost.clone()).await.map_err(Failure::of_queue);
    }
    match job.desk.open(vhost.clone()).await {
        Err(refusal @ Refusal::VhostRefused { .. }) => {
            if subject::of(job, service)?.is_none() {
                return Err(Failure::of_queue(refusal));
            }
            appeal_for_subject(job, service)?;
            job.desk.open(vhost.clone()).await.map_err(Failure::of_queue)
        }
        Err(Refusal::VhostNotFound { vhost }) => look_into(job, vhost).map_err(Failure::of_queue),
        opened => opened.map_err(Failure::of_queue),
    }
}

/// Nobody has made anything there: whoever may be there finds nothing.
fn look_into(job: &Job, vhost: Name) -> Result<(), Refusal> {
    let vacancy = Vacancy::of(&job.environment, &job.user);
    let vacancy = vacancy.ok_or_else(|| Refusal::VhostRefused { vhost, user: job.user.clone() })?;
    job.desk.vacate(vacancy);
    Ok(())
}

/// Asks the policy of a queue or topic that the user may not even look at. Whether it is there is not told to who may not know.
pub(crate) fn appeal(job: &Job, service: Service, name: &str) -> Result<(), Failure> {
    let directory = job.environment.directory.as_ref();
    let attributes = directory.and_then(|directory| {
        directory.attributes(&job.environment.namespace.vhost, warrants::kind(service), &Name::from(name))
    });
    let policy = attributes.as_ref().and_then(|attributes| subject::policy(service, attributes));
    let resource = Resource { service, name, policy };
    match attributes {
        None if job.is_foreign() => Err(refusal::not_there(job, service)),
        _ => resource.appeal(job),
    }
}

fn appeal_for_subject(job: &Job, service: Service) -> Result<(), Failure> {
    match subject::of(job, service)? {
        Some(name) => appeal(job, service, &name),
        None => Err(refusal::not_there(job, service)),
    }
}

/// What the core refuses to the user, as AWS says it.
pub(crate) fn reworded(job: &Job, service: Service, failure: Failure) -> Failure {
    match (failure, subject::of(job, service)) {
        (Failure::Refused(_), Ok(Some(name))) => {
            let resource = Resource { service, name: &name, policy: None };
            resource.refuse(job, &job.action, Reason::NotPermitted)
        }
        (failure, _) => failure,
    }
}

fn user_context(job: &Job, service: Service, arn: &str) -> Context {
    let mut context = common_context(job)
        .with("aws:PrincipalArn", arn)
        .with("aws:PrincipalAccount", job.account())
        .with("aws:PrincipalType", "User")
        .with("aws:PrincipalIsAWSService", "false")
        // SNS's own policies ask for it.
        .with("aws:SourceOwner", job.account())
        .with("aws:username", job.user.as_str())
        .with("aws:userid", job.user.as_str());
    if service == Service::Sns {
        for (key, field) in [("sns:Protocol", "Protocol"), ("sns:Endpoint", "Endpoint")] {
            if let Ok(Some(value)) = job.fields.view().text(field) {
                context = context.with(key, value);
            }
        }
    }
    match job.peer {
        Some(peer) => context.with("aws:SourceIp", peer.to_canonical().to_string()),
        None => context,
    }
}

fn common_context(job: &Job) -> Context {
    let unix = job.desk.now().unix;
    Context::default()
        .with("aws:CurrentTime", iso8601(unix))
        .with("aws:EpochTime", (unix.0 / 1000).to_string())
        .with("aws:RequestedRegion", job.place.region.as_str())
        .with("aws:ResourceAccount", job.place.account.as_str())
        .with("aws:SecureTransport", job.origin.starts_with("https:").to_string())
}
