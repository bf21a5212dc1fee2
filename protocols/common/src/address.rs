//! Where an answer shall go ([`Hub::reply_to`](crate::Hub)), in a spelling that every protocol translates: the bare name of a queue, or an
//! exchange and a key as AMQP 1.0 clients of RabbitMQ write them, `/exchanges/EXCHANGE/KEY`, both percent-encoded.

use bytes::Bytes;

use crate::Name;

/// What the address of an exchange and key begins with.
pub const PREFIX: &str = "/exchanges/";

/// The address of an exchange and key.
pub fn of_exchange(exchange: &str, key: &[u8]) -> String {
    let mut address = PREFIX.to_owned();
    encode(exchange.as_bytes(), &mut address);
    address.push('/');
    encode(key, &mut address);
    address
}

/// The exchange and key of an address; `None` if it is another one, or not spelled as [`of_exchange`] does.
pub fn exchange_and_key(address: &str) -> Option<(Name, Bytes)> {
    let (exchange, key) = address.strip_prefix(PREFIX)?.split_once('/')?;
    let (exchange, key) = (String::from_utf8(decode(exchange)?).ok()?, decode(key)?);
    let is_ours = !exchange.is_empty() && of_exchange(&exchange, &key) == address;
    is_ours.then(|| (Name::from(exchange), Bytes::from(key)))
}

fn encode(bytes: &[u8], into: &mut String) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            into.push(char::from(byte));
        } else {
            into.extend(['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            decoded.push(*first);
            rest = tail;
            continue;
        }
        let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
        decoded.push(u8::from_str_radix(hex, 16).ok()?);
        rest = tail.get(2..)?;
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for (exchange, key) in [("amq.topic", &b"a.b"[..]), ("e/f%", b"/"), ("x", b""), ("é", b"\xFF\0 ")] {
            let address = of_exchange(exchange, key);
            let (found, found_key) = exchange_and_key(&address).unwrap();
            assert_eq!((&*found, &found_key[..]), (exchange, key), "{address}");
        }
        assert_eq!(of_exchange("amq.topic", b"a/b.c"), "/exchanges/amq.topic/a%2Fb.c");
    }

    #[test]
    fn what_is_spelled_otherwise_is_none() {
        for text in [
            "",
            "q",
            "/exchanges/",
            "/exchanges//k",
            "/exchanges/e",
            "/exchanges/e/a/b",
            "/exchanges/e/%61",
            "/exchanges/e/%+1",
        ] {
            assert_eq!(exchange_and_key(text), None, "{text}");
        }
    }
}
