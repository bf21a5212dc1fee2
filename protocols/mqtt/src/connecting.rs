//! From CONNECT to CONNACK: who it is, which vhost, which session.

use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::command::{Credentials, OpenSession, Publish, Will};
use crossdock_common::event::{Reply, SessionInfo};
use crossdock_common::random::Random;
use crossdock_common::{Command, Event, Lane, Message, Name, Now, Output, RequestId};

use crate::authentication::{Exchange, expect_method};
use crate::convert::{self, FORMAT};
use crate::inbound::check_content;
use crate::options::{CLIENT_ID_BYTES_MAX, ConnectionOptions, Origin};
use crate::packet::connack::ConnAck;
use crate::packet::connect::{self, Connect, Wishes};
use crate::packet::properties::Property;
use crate::packet::{Kind, Qos, Version, auth, disconnect};
use crate::reason::{FORCED, Fault, Reason};
use crate::requests::{Peer, Requests, bounds};
use crate::session::{Session, expiry_ms};
use crate::subscribing::OWN_CONSUMER;
use crate::topic;

/// A client whose CONNECT was read.
#[derive(Debug)]
pub(crate) struct Connecting {
    pub version: Version,
    step: Step,
    requests: Requests,
    clean: bool,
    keep_alive_s: u16,
    wishes: Wishes,
    client_id: Name,
    is_assigned: bool,
    /// Until the user is known: then the message is theirs.
    will: Option<WillMessage>,
    vhost: Name,
    user: Name,
    /// For enhanced authentication.
    exchange: Option<Box<Exchange>>,
}

#[derive(Debug)]
struct WillMessage {
    message: Message,
    retain: bool,
    delay_ms: u64,
}

/// What was asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Authenticate(RequestId),
    Open(RequestId),
    OpenSession(RequestId),
}

impl Connecting {
    /// Takes a CONNECT that was decoded and asks who it is.
    pub fn new(
        now: Now,
        connect: &Connect<'_>,
        (options, origin): (&ConnectionOptions, &Origin),
        output: &mut Output,
    ) -> Result<Self, Fault> {
        let wishes = connect.wishes();
        let (method, data) = connect.authentication();
        if let Some(method) = method {
            expect_method(Some(method))?;
        } else if data.is_some() {
            return Err(Fault::protocol("authentication data without a method (section 3.1.2.11.10)"));
        }
        let (client_id, is_assigned) = client_id(connect, options, origin)?;
        check_offer(connect, options)?;
        let (vhost, user) = vhost_and_user(connect.user.unwrap_or_default(), options);
        let credentials = method.is_none().then(|| credentials(connect, user, options, origin)).transpose()?;
        let will = connect.will.map(|will| will_message(now, &will, &client_id, options)).transpose()?;
        let mut requests = Requests::default();
        let request = requests.number();
        let mut connecting = Self {
            version: connect.version,
            step: Step::Authenticate(request),
            requests,
            clean: connect.clean,
            keep_alive_s: connect.keep_alive_s,
            wishes,
            client_id,
            is_assigned,
            will,
            vhost,
            user: Name::default(),
            exchange: method.map(|_| Box::default()),
        };
        connecting.check_connack(options)?;
        match (credentials, &mut connecting.exchange) {
            (Some(credentials), _) => output.commands.push(Command::Authenticate { request, credentials }),
            (None, Some(exchange)) => exchange.begin(request, data, output)?,
            (None, None) => {}
        }
        Ok(connecting)
    }

    /// A client that cannot take its CONNACK can take nothing ([MQTT-3.1.2-24] of 5, section 3.1.2.11.4).
    fn check_connack(&self, options: &ConnectionOptions) -> Result<(), Fault> {
        let granted_ms = self.session_expiry_ms(options);
        let response = self.response_information(options);
        let properties = self.connack_properties(granted_ms, response.as_deref(), options);
        let connack = ConnAck { session_present: false, reason: Reason::SUCCESS, properties: &properties };
        if connack.encoded_len(self.version) > self.packet_bytes_max() {
            return Err(Fault::new(Reason::PACKET_TOO_LARGE, "maximum packet size leaves no room for CONNACK"));
        }
        Ok(())
    }

    /// The largest packet that the client takes.
    pub fn packet_bytes_max(&self) -> usize {
        usize::try_from(self.wishes.packet_bytes_max).unwrap_or(usize::MAX)
    }

    /// Whether the client has proved who it is.
    pub fn is_authenticated(&self) -> bool {
        !matches!(self.step, Step::Authenticate(_))
    }

    /// Whether the client is to say something before the login goes on.
    pub fn awaits_client(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.awaits_client())
    }

    /// Takes a packet that comes before CONNACK; true for a goodbye.
    pub fn packet(
        &mut self,
        kind: Kind,
        body: &[u8],
        options: &ConnectionOptions,
        output: &mut Output,
    ) -> Result<bool, Fault> {
        match (kind, &mut self.exchange) {
            (Kind::Disconnect, _) => disconnect::decode(body, self.version, bounds(options)).map(|_| true),
            (Kind::Auth, Some(exchange)) => {
                let request = self.requests.number();
                self.step = Step::Authenticate(request);
                exchange.go_on(request, auth::decode(body, bounds(options))?, output).map(|()| false)
            }
            _ => Err(Fault::protocol("a packet before the end of authentication [MQTT-3.1.2-30]")),
        }
    }

    /// Takes an answer; with the last one the session is there.
    pub fn handle(
        &mut self,
        event: Event,
        options: &ConnectionOptions,
        output: &mut Output,
    ) -> Result<Option<Box<SessionInfo>>, Fault> {
        if let (Some(exchange), Step::Authenticate(_)) = (&mut self.exchange, self.step) {
            exchange.handle(&event, output)?;
        }
        match (event, self.step) {
            (Event::Authenticated { request, result }, Step::Authenticate(asked)) if request == asked => {
                let principal = result.map_err(|refusal| refused(&refusal))?;
                self.user = principal.name;
                let request = self.requests.number();
                self.step = Step::Open(request);
                output.commands.push(Command::Open { request, vhost: self.vhost.clone() });
            }
            (Event::Reply { request, result }, Step::Open(asked)) if request == asked => {
                result.map_err(|refusal| refused(&refusal))?;
                self.open_session(options, output);
            }
            (Event::Reply { request, result }, Step::OpenSession(asked)) if request == asked => {
                match result.map_err(|refusal| refused(&refusal))? {
                    Reply::Session(info) => return Ok(Some(info)),
                    _ => return Err(Fault::new(Reason::UNSPECIFIED, "the core gave no session")),
                }
            }
            (Event::TakenOver, _) => {
                return Err(Fault::new(Reason::SESSION_TAKEN_OVER, "session taken over [MQTT-3.1.4-3]"));
            }
            (Event::Forced { .. }, _) => return Err(FORCED),
            _ => {}
        }
        Ok(None)
    }

    fn open_session(&mut self, options: &ConnectionOptions, output: &mut Output) {
        let request = self.requests.number();
        self.step = Step::OpenSession(request);
        let will = self.will.take().map(|will| Box::new(will.by(self.user.clone())));
        let window = self.wishes.receive_maximum.min(options.receive_maximum).max(1);
        let session = OpenSession {
            name: self.client_id.clone(),
            clean: self.clean,
            expiry_ms: self.session_expiry_ms(options),
            will,
            window: u32::from(window),
            consumer: OWN_CONSUMER,
            exchange: options.exchange.clone(),
            queue: (*options.session_queue).clone(),
        };
        output.commands.push(Command::OpenSession { request, session: Box::new(session) });
    }

    /// Before version 5 a session is for the connection or for ever.
    fn session_expiry_ms(&self, options: &ConnectionOptions) -> Option<u64> {
        options.session_expiry_ms(expiry_ms(self.wishes.session_expiry_s))
    }

    /// Says CONNACK and becomes a session.
    pub fn connected(
        self,
        now: Now,
        info: &SessionInfo,
        options: Arc<ConnectionOptions>,
        output: &mut Output,
    ) -> Session {
        let granted_ms = self.session_expiry_ms(&options);
        self.put_connack(info.present, granted_ms, &options, output);
        let peer = Peer {
            version: self.version,
            client_id: self.client_id,
            user: self.user,
            is_persistent: granted_ms != Some(0),
            packet_bytes_max: usize::try_from(self.wishes.packet_bytes_max).unwrap_or(usize::MAX),
            exchange: self.exchange,
            receive_maximum: self.wishes.receive_maximum,
            topic_alias_maximum: self.wishes.topic_alias_maximum.min(options.topic_alias_maximum),
            options,
        };
        let keep_alive_s = peer.options.keep_alive_s(self.keep_alive_s);
        let mut session = Session::new(now, peer, self.requests, info, keep_alive_s);
        session.resume(now, info, output);
        session
    }

    fn put_connack(
        &self,
        session_present: bool,
        granted_ms: Option<u64>,
        options: &ConnectionOptions,
        output: &mut Output,
    ) {
        let response = self.response_information(options);
        let properties = self.connack_properties(granted_ms, response.as_deref(), options);
        let connack = ConnAck { session_present, reason: Reason::SUCCESS, properties: &properties };
        connack.put(output.bytes.buffer(), self.version);
    }

    /// What is offered, where it is not the protocol's default.
    fn connack_properties<'a>(
        &'a self,
        granted_ms: Option<u64>,
        response: Option<&'a str>,
        options: &ConnectionOptions,
    ) -> Vec<Property<'a>> {
        let offer = &options.offer;
        let mut properties = vec![
            Property::ReceiveMaximum(options.receive_maximum.max(1)),
            Property::MaximumPacketSize(u32::try_from(options.packet_bytes_max()).unwrap_or(u32::MAX)),
        ];
        if options.topic_alias_maximum > 0 {
            properties.push(Property::TopicAliasMaximum(options.topic_alias_maximum));
        }
        if granted_ms != expiry_ms(self.wishes.session_expiry_s) {
            let seconds = granted_ms.map_or(u32::MAX, |ms| u32::try_from(ms / 1_000).unwrap_or(u32::MAX));
            properties.push(Property::SessionExpiry(seconds));
        }
        if self.is_assigned {
            properties.push(Property::AssignedClientId(&self.client_id));
        }
        let keep_alive_s = options.keep_alive_s(self.keep_alive_s);
        if keep_alive_s != self.keep_alive_s {
            properties.push(Property::ServerKeepAlive(keep_alive_s));
        }
        if offer.qos_max != Qos::ExactlyOnce {
            properties.push(Property::MaximumQos(offer.qos_max as u8));
        }
        let refused = [
            (offer.retain, Property::RetainAvailable(0)),
            (offer.wildcard_subscriptions, Property::WildcardAvailable(0)),
            (offer.subscription_identifiers, Property::SubscriptionIdAvailable(0)),
            (offer.shared_subscriptions, Property::SharedAvailable(0)),
        ];
        properties.extend(refused.into_iter().filter_map(|(is_offered, property)| (!is_offered).then_some(property)));
        properties.extend(response.map(Property::ResponseInformation));
        properties.extend(self.exchange.iter().flat_map(|exchange| exchange.properties()));
        properties
    }

    /// Only for those who ask ([MQTT-3.1.2-28]).
    fn response_information(&self, options: &ConnectionOptions) -> Option<String> {
        let text = options.offer.response_information.as_ref().filter(|_| self.wishes.wants_response_information)?;
        Some(text.replace("{client_id}", &self.client_id))
    }
}

/// What a client may not ask for here ([MQTT-3.2.2-12], [MQTT-3.2.2-13] of 5).
fn check_offer(connect: &Connect<'_>, options: &ConnectionOptions) -> Result<(), Fault> {
    let offer = &options.offer;
    if connect.will.is_some_and(|will| will.qos > offer.qos_max) {
        return Err(Fault::new(Reason::QOS_NOT_SUPPORTED, "will QoS beyond mqtt.qos_max [MQTT-3.2.2-12]"));
    }
    if connect.will.is_some_and(|will| will.retain) && !offer.retain {
        return Err(Fault::new(Reason::RETAIN_NOT_SUPPORTED, "retained will, and mqtt.retain is off [MQTT-3.2.2-13]"));
    }
    // Older versions cannot be told of another keep-alive.
    if !connect.version.is_v5() && options.keep_alive_s(connect.keep_alive_s) != connect.keep_alive_s {
        return Err(Fault::new(Reason::CLIENT_ID_NOT_VALID, "keep-alive beyond mqtt.keep_alive_ms_max"));
    }
    Ok(())
}

fn refused(refusal: &crossdock_common::Refusal) -> Fault {
    Fault::new(Reason::from(refusal), "CONNECT refused")
}

/// The client identifier, or one that is assigned ([MQTT-3.1.3-6], [MQTT-3.1.3-8]).
fn client_id(connect: &Connect<'_>, options: &ConnectionOptions, origin: &Origin) -> Result<(Name, bool), Fault> {
    let invalid = |rule| Err(Fault::new(Reason::CLIENT_ID_NOT_VALID, rule));
    let id = connect.client_id;
    if id.is_empty() {
        let may_be_empty = connect.version.is_v5() || (connect.version == Version::V311 && connect.clean);
        if !may_be_empty || !options.offer.assigned_client_ids {
            return invalid("empty client identifier [MQTT-3.1.3-8]");
        }
        return Ok((Name::from(format!("auto-{:032x}", Random::from_seed(origin.seed).uuid())), true));
    }
    if id.len() > CLIENT_ID_BYTES_MAX {
        return invalid("client identifier is too long");
    }
    if topic::has_strange_characters(id) {
        return invalid("control or non-character in the client identifier (section 1.5.4)");
    }
    Ok((Name::from(id), false))
}

/// `vhost:user` names a vhost, as with RabbitMQ's plugin: the last colon counts.
fn vhost_and_user<'a>(user: &'a str, options: &ConnectionOptions) -> (Name, &'a str) {
    match user.rsplit_once(':') {
        Some((vhost, user)) => (Name::from(vhost), user),
        None => (options.vhost.clone(), user),
    }
}

fn credentials(
    connect: &Connect<'_>,
    user: &str,
    options: &ConnectionOptions,
    origin: &Origin,
) -> Result<Credentials, Fault> {
    if options.certificate_wins && origin.certificate_name.is_some() {
        return Ok(Credentials::Certificate);
    }
    if topic::has_strange_characters(user) {
        return Err(Fault::new(Reason::BAD_USER_NAME_OR_PASSWORD, "control character in the user name"));
    }
    // Copied: the password must not stay in the read buffer's company.
    let password = Bytes::copy_from_slice(connect.password.unwrap_or_default());
    if connect.user.is_some() || connect.password.is_some() {
        return Ok(Credentials::Password { user: Name::from(user), password });
    }
    if origin.certificate_name.is_some() {
        return Ok(Credentials::Certificate);
    }
    if options.allow_anonymous {
        return Ok(Credentials::Anonymous);
    }
    Err(Fault::new(Reason::NOT_AUTHORIZED, "no user name, and anonymous clients are not allowed"))
}

fn will_message(
    now: Now,
    will: &connect::Will<'_>,
    client_id: &Name,
    options: &ConnectionOptions,
) -> Result<WillMessage, Fault> {
    topic::check_name(will.topic, options.limits.topic_levels_max)?;
    let key = Bytes::from(topic::swap(will.topic.as_bytes()));
    let properties = convert::stored(will.qos, will.retain, will.properties);
    let body = Bytes::copy_from_slice(will.payload);
    let mut message = Message::new(&FORMAT, options.exchange.clone(), key, properties, body);
    message.durable = will.qos != Qos::AtMostOnce;
    message.received_at = now.unix;
    message.rare_mut().session = Some(client_id.clone());
    let mut delay_ms = 0;
    for property in will.properties.iter() {
        match property {
            Property::WillDelay(seconds) => delay_ms = u64::from(seconds) * 1_000,
            Property::MessageExpiry(seconds) => message.ttl_ms = Some(u64::from(seconds) * 1_000),
            other => check_content(other, will.payload)?,
        }
    }
    Ok(WillMessage { message, retain: will.retain, delay_ms })
}

impl WillMessage {
    fn by(mut self, user: Name) -> Will {
        self.message.user = user;
        let message = Arc::new(self.message);
        let publish = Publish {
            lane: Lane(0),
            confirm: None,
            message,
            mandatory: false,
            retain: self.retain,
            exactly_once: None,
        };
        Will { publish, delay_ms: self.delay_ms }
    }
}
