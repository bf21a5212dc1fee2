//! What a person sees first: one line to try for each protocol.

use crate::config::{ListenerKind, Settings};
use crate::net::Listening;

/// Prints a line for each plain listener that works as it stands (once the password is put in, outside of development mode).
pub(super) fn print(settings: &Settings, user: &str, listening: &[Listening]) {
    let user = if settings.dev { "guest:guest".to_owned() } else { format!("{user}:PASSWORD") };
    eprintln!();
    for one in listening {
        if let Some(line) = try_it(settings, one, &user) {
            eprintln!("  {:<11} {line}", one.kind.name());
        }
    }
    eprintln!();
}

fn try_it(settings: &Settings, listening: &Listening, user: &str) -> Option<String> {
    let (host, port) = (listening.address.ip(), listening.address.port());
    let (name, password) = user.split_once(':')?;
    Some(match listening.kind {
        ListenerKind::Amqp => format!(
            "python3 -c \"import pika; c = pika.BlockingConnection(pika.URLParameters('amqp://{user}@{host}:{port}')).channel(); \
             c.queue_declare('hello', durable=True); c.basic_publish('', 'hello', b'hi')\""
        ),
        ListenerKind::Mqtt => format!("mosquitto_pub -h {host} -p {port} -u {name} -P {password} -t hello -m hi"),
        ListenerKind::Stomp => format!(
            "printf 'CONNECT\\nlogin:{name}\\npasscode:{password}\\n\\n\\0SEND\\ndestination:/queue/hello\\n\\nhi\\0\
             DISCONNECT\\n\\n\\0' | curl -s telnet://{host}:{port} --output -"
        ),
        ListenerKind::Aws => aws(settings, &format!("http://{host}:{port}")),
        ListenerKind::Management => format!("curl http://{host}:{port}/readyz"),
        _ => return None,
    })
}

/// A call with a key that is accepted, or what to do so that one is.
fn aws(settings: &Settings, endpoint: &str) -> String {
    let (key, secret) = match settings.aws.keys.first() {
        _ if settings.dev || !settings.aws.verify_signatures => ("dev", "dev"),
        Some(key) => (key.access_key_id.as_str(), "SECRET"),
        None => return "no call is accepted until aws.keys has a key in the configuration".to_owned(),
    };
    let region = &settings.aws.region;
    format!(
        "AWS_ACCESS_KEY_ID={key} AWS_SECRET_ACCESS_KEY={secret} aws --region {region} --endpoint-url {endpoint} sqs \
         create-queue --queue-name hello"
    )
}
