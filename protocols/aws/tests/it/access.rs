//! Access policies: who may do what with whose queue, and what the core is told to let through.

use std::sync::Arc;

use crossdock_aws::{Call, Caller, Directory, Environment, Namespace, Namespaces, Request, Response};
use crossdock_common::definition::{BindingSpec, Definition, Destination, ExchangeInfo, QueueInfo};
use crossdock_common::event::Reply;
use crossdock_common::refusal::{Access, Resource};
use crossdock_common::warrant::Right;
use crossdock_common::{Command, Event, Name, Refusal, Table, Text, Value, Warrant};
use serde_json::{Value as Json, json as json_value};
use std::collections::VecDeque;

use crate::core::{NOW, environment, form, json, queue_info, topic_info};

pub const HOME: &str = "000000000000";
pub const OTHER: &str = "111111111111";

/// A broker whose users may do nothing, and where `q` and `t` of both accounts have this policy.
#[derive(Clone, Debug)]
pub struct Guarded {
    policy: String,
    /// Whom the permissions of his own account let do everything.
    strong: &'static str,
    /// The bindings of `t` of account HOME.
    pub bindings: Vec<BindingSpec>,
}

#[derive(Debug)]
struct Known(Guarded);

impl Directory for Known {
    fn attributes(&self, _: &Name, resource: Resource, name: &Name) -> Option<Table> {
        let (wanted, kept) = if resource == Resource::Queue { ("q", "sqs") } else { ("t", "sns") };
        (name.as_str() == wanted).then(|| attributes(kept, &self.0.policy))
    }

    fn bindings(&self, vhost: &Name, source: Option<&Name>) -> Vec<Arc<BindingSpec>> {
        let is_there = vhost.as_str() == "/" && source.is_none_or(|source| source.as_str() == "t");
        self.0.bindings.iter().filter(|_| is_there).cloned().map(Arc::new).collect()
    }

    fn namespaces(&self) -> Vec<Namespace> {
        [HOME, OTHER].into_iter().filter_map(|account| rules().of(Some(account), None)).collect()
    }

    fn may(&self, user: &Name, vhost: &Name, _: Access, _: Resource, _: &Name) -> bool {
        user.as_str() == self.0.strong && vhost.as_str() == format!("aws/{OTHER}")
    }

    fn may_enter(&self, user: &Name, vhost: &Name) -> bool {
        self.may(user, vhost, Access::Configure, Resource::Vhost, vhost)
    }

    fn settle(&self, _: &Arc<Environment>) -> Result<(), Refusal> {
        Ok(())
    }

    fn find(&self, account: &str, region: Option<&str>) -> Option<Arc<Environment>> {
        (account == HOME || account == OTHER).then(|| of_account(account, region, &self.0))
    }
}

fn attributes(kept: &'static str, policy: &str) -> Table {
    let policy = vec![(Text::from_static("Policy"), Value::string(policy))];
    vec![(Text::from_static(kept), Value::Map(policy))]
}

fn rules() -> Namespaces {
    Namespaces { account: HOME.to_owned(), region: "us-east-1".to_owned(), regions_together: false }
}

fn of_account(account: &str, region: Option<&str>, guarded: &Guarded) -> Arc<Environment> {
    let directory: Arc<dyn Directory> = Arc::new(Known(guarded.clone()));
    Arc::new(Environment {
        namespace: rules().of(Some(account), region).expect("an account"),
        directory: Some(directory),
        ..(*environment()).clone()
    })
}

/// What a request came to, and what it made the core let through.
pub struct Outcome {
    pub response: Response,
    pub warrants: Vec<Warrant>,
    vhosts: Vec<Name>,
}

impl Outcome {
    pub fn code(&self) -> String {
        let text = String::from_utf8_lossy(&self.response.body).into_owned();
        let header = self.response.headers.iter().find(|(name, _)| *name == "x-amzn-query-error");
        let in_xml = || text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        let code = header.map(|(_, code)| code.to_str().expect("text").trim_end_matches(";Sender").to_owned());
        code.or_else(|| in_xml().map(|(code, _)| code.to_owned())).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.response.body).into_owned()
    }

    /// Where it went in.
    pub fn vhosts(&self) -> Vec<&str> {
        self.vhosts.iter().map(Name::as_str).collect()
    }

    /// The rights that were given, each with its virtual host and what it is for.
    pub fn rights(&self) -> Vec<(String, Resource, String, Right)> {
        let mut rights: Vec<_> = self
            .warrants
            .iter()
            .map(|one| (one.vhost.to_string(), one.resource, one.name.to_string(), one.right))
            .collect();
        rights.dedup();
        rights
    }
}

impl Guarded {
    fn new(policy: &Json) -> Self {
        Self { policy: policy.to_string(), strong: "bills", bindings: Vec::new() }
    }

    pub fn sharing(principal: &Json, actions: &Json) -> Self {
        Self::new(&json_value!({ "Statement": [
            { "Effect": "Allow", "Principal": principal, "Action": actions, "Resource": "*" }
        ] }))
    }

    /// A signed request of a user of an account.
    pub fn ask(&self, user: &str, account: &str, request: &Request) -> Outcome {
        self.ask_as(caller(user, account, true), request)
    }

    pub fn ask_as(&self, caller: Caller, request: &Request) -> Outcome {
        let account = caller.account.clone().expect("an account");
        let environment = of_account(&account, None, self);
        let mut call = Call::new(environment, request, caller, NOW, 1);
        let (mut commands, mut warrants, mut vhosts) = (VecDeque::new(), Vec::new(), Vec::new());
        loop {
            if let Some(response) = call.response() {
                return Outcome { response, warrants, vhosts };
            }
            warrants.extend(call.commands(&mut commands));
            assert!(!commands.is_empty(), "the call waits for nothing");
            for command in commands.drain(..) {
                if let Command::Open { vhost, .. } = &command {
                    vhosts.push(vhost.clone());
                }
                call.handle(NOW, self.carry_out(command, &warrants));
            }
        }
    }

    /// A core that does what a warrant says, and nothing else.
    fn carry_out(&self, command: Command, warrants: &[Warrant]) -> Event {
        let has = |resource, name: &str, rights: &[Right]| {
            let is_it = |one: &&Warrant| one.resource == resource && one.name.as_str() == name;
            warrants.iter().filter(is_it).any(|one| rights.contains(&one.right))
        };
        let any = [Right::Look, Right::Read, Right::Write, Right::Keep];
        let may_bind = |spec: &BindingSpec| {
            let Destination::Queue(queue) = &spec.destination else { return false };
            has(Resource::Exchange, &spec.source, &[Right::Read]) && has(Resource::Queue, queue, &[Right::Keep])
        };
        let reply = |request, result| Event::Reply { request, result };
        match command {
            Command::Open { request, vhost } => {
                let is_led = warrants.iter().any(|one| one.vhost == vhost);
                let refusal = Refusal::VhostRefused { vhost, user: Name::from("u") };
                reply(request, if is_led { Ok(Reply::Done) } else { Err(refusal) })
            }
            Command::Define { request, definition } => reply(
                request,
                match *definition {
                    Definition::InspectQueue { name } if has(Resource::Queue, &name, &any) => {
                        let mut info = queue_info();
                        info.spec.attributes = attributes("sqs", &self.policy);
                        Ok(Reply::QueueInfo(Box::new(QueueInfo { ..info })))
                    }
                    Definition::InspectExchange { name } if has(Resource::Exchange, &name, &any) => {
                        let mut info = topic_info();
                        info.spec.attributes = attributes("sns", &self.policy);
                        Ok(Reply::ExchangeInfo(Box::new(ExchangeInfo { ..info })))
                    }
                    Definition::ListBindings { source: Some(name) } if has(Resource::Exchange, &name, &any) => {
                        Ok(Reply::Bindings(self.bindings.clone()))
                    }
                    Definition::DeclareQueue { spec, .. } if has(Resource::Queue, &spec.name, &[Right::Keep]) => {
                        Ok(Reply::Done)
                    }
                    Definition::DeleteQueue { name, .. } if has(Resource::Queue, &name, &[Right::Keep]) => {
                        Ok(Reply::Done)
                    }
                    Definition::Bind(spec) | Definition::Unbind(spec) if may_bind(&spec) => Ok(Reply::Done),
                    Definition::IfKept { change: Some(change), .. } => match *change {
                        Definition::Bind(spec) if may_bind(&spec) => Ok(Reply::Done),
                        _ => Err(refused()),
                    },
                    _ => Err(refused()),
                },
            ),
            Command::Fetch { request, fetch } if has(Resource::Queue, &fetch.queue, &[Right::Read]) => {
                Event::Fetched { request, deliveries: Vec::new(), ready: 0 }
            }
            Command::Fetch { request, .. } | Command::Purge { request, .. } => reply(request, Err(refused())),
            Command::Publish(publish) => {
                let (lane, confirm) = (publish.lane, publish.confirm);
                let key = std::str::from_utf8(&publish.message.routing_key).expect("UTF-8").to_owned();
                let (resource, name) = match publish.message.exchange.as_str() {
                    "" => (Resource::Queue, key),
                    exchange => (Resource::Exchange, exchange.to_owned()),
                };
                if has(resource, &name, &[Right::Write]) {
                    return Event::Confirmed { lane, confirms: confirm.into_iter().collect() };
                }
                Event::PublishRefused { lane, confirm, refusal: refused() }
            }
            other => panic!("{other:?}"),
        }
    }
}

pub fn caller(user: &str, account: &str, is_signed: bool) -> Caller {
    Caller { user: Name::from(user), account: Some(account.to_owned()), region: None, peer: None, is_signed }
}

fn refused() -> Refusal {
    let (name, vhost, user) = ("q".into(), "/".into(), "u".into());
    Refusal::AccessRefused { access: Access::Read, resource: Resource::Queue, name, vhost, user }
}

fn of_queue(action: &str, account: &str) -> Request {
    let mut body = json_value!({ "QueueUrl": format!("http://localhost/{account}/q") });
    match action {
        "SendMessage" => body["MessageBody"] = "m".into(),
        "SendMessageBatch" => body["Entries"] = json_value!([{ "Id": "1", "MessageBody": "m" }]),
        "SetQueueAttributes" => body["Attributes"] = json_value!({ "Policy": "" }),
        "GetQueueUrl" => body = json_value!({ "QueueName": "q", "QueueOwnerAWSAccountId": account }),
        "AddPermission" => {
            body["Label"] = "l".into();
            body["AWSAccountIds"] = json_value!([OTHER]);
            body["Actions"] = json_value!(["SendMessage"]);
        }
        "RemovePermission" => body["Label"] = "l".into(),
        "TagQueue" => body["Tags"] = json_value!({ "a": "b" }),
        "UntagQueue" => body["TagKeys"] = json_value!(["a"]),
        _ => {}
    }
    json(action, &body.to_string())
}

pub fn of_topic(action: &str, account: &str, more: &str) -> Request {
    let arn = format!("arn%3Aaws%3Asns%3Aus-east-1%3A{account}%3At");
    form("/", &format!("Action={action}&Version=2010-03-31&TopicArn={arn}{more}"))
}

pub fn user(name: &str, account: &str) -> Json {
    json_value!({ "AWS": format!("arn:aws:iam::{account}:user/{name}") })
}

#[test]
fn a_request_is_let_through_for_what_it_does_and_no_more() {
    let guarded = Guarded::sharing(&user("poor", HOME), &json_value!("sqs:*"));
    for (action, right) in [
        ("SendMessage", Right::Write),
        ("SendMessageBatch", Right::Write),
        ("ReceiveMessage", Right::Read),
        ("GetQueueAttributes", Right::Look),
        ("GetQueueUrl", Right::Look),
    ] {
        let outcome = guarded.ask("poor", HOME, &of_queue(action, HOME));
        assert_eq!(outcome.response.status, 200, "{action}: {}", outcome.text());
        assert_eq!(outcome.rights(), [("/".to_owned(), Resource::Queue, "q".to_owned(), right)], "{action}");
        let outcome = guarded.ask("eve", HOME, &of_queue(action, HOME));
        assert_eq!((outcome.code().as_str(), outcome.warrants.len()), ("AccessDenied", 0), "{action}");
    }
    let topic = Guarded::sharing(&user("poor", HOME), &json_value!("sns:*"));
    let published = topic.ask("poor", HOME, &of_topic("Publish", HOME, "&Message=m"));
    let right = ("/".to_owned(), Resource::Exchange, "t".to_owned(), Right::Write);
    assert_eq!((published.response.status, published.rights()), (200, vec![right]), "{}", published.text());
}

#[test]
fn what_is_the_owners_no_policy_gives() {
    let guarded = Guarded::sharing(&json_value!("*"), &json_value!("sqs:*"));
    for action in [
        "AddPermission",
        "RemovePermission",
        "DeleteQueue",
        "SetQueueAttributes",
        "TagQueue",
        "UntagQueue",
        "ListQueueTags",
    ] {
        for (name, account) in [("poor", HOME), ("bills", OTHER)] {
            let outcome = guarded.ask(name, account, &of_queue(action, HOME));
            assert_eq!((outcome.code().as_str(), outcome.warrants.len()), ("AccessDenied", 0), "{name} {action}");
        }
    }
    let guarded = Guarded::sharing(&json_value!("*"), &json_value!("sns:*"));
    for action in ["DeleteTopic", "SetTopicAttributes&AttributeName=DisplayName&AttributeValue=x", "CreateTopic&Name=t"]
    {
        let outcome = guarded.ask("bills", OTHER, &of_topic(action, HOME, ""));
        assert_eq!((outcome.code().as_str(), outcome.warrants.len()), ("AuthorizationError", 0), "{action}");
    }
}

#[test]
fn another_account_needs_both() {
    let to_others = Guarded::sharing(&json_value!({ "AWS": OTHER }), &json_value!("sqs:SendMessage"));
    let sent = to_others.ask("bills", OTHER, &of_queue("SendMessage", HOME));
    assert_eq!(sent.rights(), [("/".to_owned(), Resource::Queue, "q".to_owned(), Right::Write)], "{}", sent.text());
    assert_eq!(sent.vhosts, [Name::from("/")]);
    let refusals = [
        (to_others.ask("limited", OTHER, &of_queue("SendMessage", HOME)), "because no identity-based policy allows"),
        (to_others.ask("bills", OTHER, &of_queue("ReceiveMessage", HOME)), "because no resource-based policy allows"),
        (to_others.ask("poor", HOME, &of_queue("SendMessage", HOME)), "because no identity-based policy allows"),
    ];
    for (outcome, why) in refusals {
        assert!(outcome.text().contains(why) && outcome.warrants.is_empty(), "{}", outcome.text());
        assert_eq!((outcome.code().as_str(), outcome.response.status), ("AccessDenied", 403));
    }
    let hidden = to_others.ask("bills", OTHER, &of_queue("GetQueueUrl", HOME));
    assert_eq!(hidden.code(), "AWS.SimpleQueueService.NonExistentQueue");
    assert!(hidden.text().contains("or you do not have access to it"));
    let missing = to_others.ask("bills", OTHER, &of_queue("SendMessage", "222222222222"));
    assert_eq!(missing.code(), "AccessDenied", "its own account's, and he has no permission there in this test");
    let denied = Guarded::new(&json_value!({ "Statement": [
        { "Effect": "Allow", "Principal": "*", "Action": "sqs:*" },
        { "Effect": "Deny", "Principal": { "AWS": OTHER }, "Action": "sqs:SendMessage" },
    ] }));
    let outcome = denied.ask("bills", OTHER, &of_queue("SendMessage", HOME));
    assert!(outcome.text().contains("with an explicit deny in a resource-based policy"), "{}", outcome.text());
}

#[test]
fn who_does_not_sign_gets_nothing() {
    let guarded = Guarded::sharing(&json_value!("*"), &json_value!("sqs:*"));
    for (name, account) in [("guest", HOME), ("bills", OTHER)] {
        let outcome = guarded.ask_as(caller(name, account, false), &of_queue("SendMessage", HOME));
        assert_eq!((outcome.code().as_str(), outcome.warrants.len()), ("AccessDenied", 0), "{name}");
    }
}

#[test]
fn one_parameter_does_not_open_what_another_names() {
    let guarded = Guarded::sharing(&json_value!("*"), &json_value!("sns:*"));
    // The topic is shared; the number, the endpoint and the tags of something else are not.
    for more in [
        "&Message=m&PhoneNumber=%2B15551234567",
        "&Message=m&TargetArn=arn%3Aaws%3Asns%3Aus-east-1%3A000000000000%3Aendpoint%2FGCM%2Fa%2F1&PhoneNumber=%2B15551234567",
    ] {
        let outcome = guarded.ask("bills", OTHER, &of_topic("Publish", HOME, more));
        assert!(outcome.response.status >= 400 && outcome.warrants.is_empty(), "{}", outcome.text());
    }
    let other = "&ResourceArn=arn%3Aaws%3Asns%3Aus-east-1%3A000000000000%3Asecret";
    let outcome = guarded.ask("bills", OTHER, &of_topic("ListTagsForResource", HOME, other));
    assert!(outcome.response.status >= 400, "{}", outcome.text());
    assert!(outcome.warrants.iter().all(|warrant| warrant.name.as_str() == "t"));
}
