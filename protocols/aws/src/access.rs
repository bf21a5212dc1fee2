//! Access policies at the actions: what the policy of a queue or topic denies is refused, before the broker is asked.
//!
//! Rights come from the broker's users; a policy takes away, and gives nothing that the broker does not give. README.md says more.

use crate::calendar::iso8601;
use crate::call::Job;
use crate::error::Failure;
use crate::policy::{Caller, Context, Decision, Question};
use crate::wire::Service;

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
    /// Refuses what the policy denies the caller to do by this request.
    pub(crate) fn check(&self, job: &Job) -> Result<(), Failure> {
        self.check_action(job, &job.action)
    }

    /// The same for another action than the request's own.
    pub(crate) fn check_action(&self, job: &Job, action: &str) -> Result<(), Failure> {
        if self.policy.is_none() {
            return Ok(());
        }
        let user = job.place.user_arn(&job.user);
        let caller = Caller::User { account: job.place.account.clone(), arn: user.clone() };
        if self.decide(job, (&caller, action), || user_context(job, &user)) != Decision::Denied {
            return Ok(());
        }
        Err(Failure::AccessDenied(self.refusal(job, &format!("User: {user}"), action)))
    }

    /// Refuses a topic whose messages the policy of the queue denies SNS to deliver.
    pub(crate) fn check_delivery(&self, job: &Job, topic_arn: &str) -> Result<(), Failure> {
        let context = || {
            common_context(job)
                .with("aws:SourceArn", topic_arn)
                .with("aws:SourceAccount", job.place.account.as_str())
                .with("aws:PrincipalIsAWSService", "true")
                .with("aws:PrincipalServiceName", SNS)
        };
        if self.decide(job, (&Caller::Service(SNS), "SendMessage"), context) != Decision::Denied {
            return Ok(());
        }
        Err(Failure::AccessDenied(self.refusal(job, SNS, "SendMessage")))
    }

    fn decide(&self, job: &Job, (caller, action): (&Caller, &str), context: impl FnOnce() -> Context) -> Decision {
        let policy = self.policy.and_then(|text| job.environment.memory.policy(self.service, text));
        let Some(policy) = policy else { return Decision::Silent };
        let (action, resource, context) = (self.action(action), self.arn(job), context());
        policy.decide(&Question { caller, action: &action, resource: &resource, context: &context })
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

    fn refusal(&self, job: &Job, who: &str, action: &str) -> String {
        let action = match self.service {
            Service::Sqs => self.action(action).to_ascii_lowercase(),
            _ => self.action(action).replacen("sns:", "SNS:", 1),
        };
        let arn = self.arn(job);
        format!(
            "{who} is not authorized to perform: {action} on resource: {arn} with an explicit deny in a \
             resource-based policy"
        )
    }
}

fn user_context(job: &Job, arn: &str) -> Context {
    let context = common_context(job)
        .with("aws:PrincipalArn", arn)
        .with("aws:PrincipalAccount", job.place.account.as_str())
        .with("aws:PrincipalType", "User")
        .with("aws:PrincipalIsAWSService", "false")
        // SNS's own policies ask for it.
        .with("aws:SourceOwner", job.place.account.as_str())
        .with("aws:username", job.user.as_str())
        .with("aws:userid", job.user.as_str());
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
