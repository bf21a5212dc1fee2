//! The XML of Query responses.

use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};

use super::{Protocol, Service, Shape, is_legal_character};
use crate::error::Failure;

pub(super) const CONTENT_TYPE: &str = "text/xml";

pub(super) fn encode(service: Service, action: &str, shape: &Shape, id: &str) -> Vec<u8> {
    let mut xml = Xml { writer: Writer::new(Vec::new()), service };
    xml.root(&format!("{action}Response"), |xml| {
        if *shape != Shape::Nothing {
            xml.element(&format!("{action}Result"), |xml| xml.value("", shape));
        }
        xml.element("ResponseMetadata", |xml| xml.leaf("RequestId", id));
    });
    xml.writer.into_inner()
}

pub(super) fn encode_failure(service: Service, failure: &Failure, id: &str) -> Vec<u8> {
    let mut xml = Xml { writer: Writer::new(Vec::new()), service };
    let code = match (service, failure) {
        (Service::Sns, Failure::AccessDenied(_) | Failure::Refused(_)) => "AuthorizationError",
        _ => failure.query_code(),
    };
    xml.root("ErrorResponse", |xml| {
        xml.element("Error", |xml| {
            xml.leaf("Type", failure.blame());
            xml.leaf("Code", code);
            xml.leaf("Message", &failure.text_for(Protocol::Query));
            xml.leaf("Detail", "");
        });
        xml.leaf("RequestId", id);
    });
    xml.writer.into_inner()
}

struct Xml {
    writer: Writer<Vec<u8>>,
    service: Service,
}

impl Xml {
    fn event(&mut self, event: Event<'_>) {
        // A vector takes everything.
        let _ = self.writer.write_event(event);
    }

    fn root(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        let start = BytesStart::new(name).with_attributes([("xmlns", self.service.namespace())]);
        self.event(Event::Start(start));
        content(self);
        self.event(Event::End(BytesEnd::new(name)));
    }

    fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.event(Event::Start(BytesStart::new(name)));
        content(self);
        self.event(Event::End(BytesEnd::new(name)));
    }

    fn leaf(&mut self, name: &str, text: &str) {
        let text = legal(text);
        // Escapes carriage returns too, which a parser would take for line feeds.
        self.element(name, |xml| xml.event(Event::Text(BytesText::new(&text))));
    }

    fn value(&mut self, name: &str, shape: &Shape) {
        let flat = self.service == Service::Sqs;
        match shape {
            Shape::Nothing => {}
            Shape::Text(text) => self.leaf(name, text),
            Shape::Number(number) => self.leaf(name, &number.to_string()),
            Shape::Bool(truth) => self.leaf(name, if *truth { "true" } else { "false" }),
            Shape::Fields(fields) if name.is_empty() => self.members(fields),
            Shape::Fields(fields) => self.element(name, |xml| xml.members(fields)),
            Shape::List { element, items } if flat => items.iter().for_each(|item| self.value(element, item)),
            Shape::List { items, .. } => {
                self.element(name, |xml| items.iter().for_each(|item| xml.value("member", item)));
            }
            Shape::Map { element, entries } if flat => {
                let key = if *element == "Tag" { "Key" } else { "Name" };
                entries.iter().for_each(|(name, value)| self.entry(element, [key, "Value"], name, value));
            }
            Shape::Map { entries, .. } => self.element(name, |xml| {
                entries.iter().for_each(|(name, value)| xml.entry("entry", ["key", "value"], name, value));
            }),
        }
    }

    fn members(&mut self, fields: &[(&'static str, Shape)]) {
        for (name, value) in fields {
            self.value(name, value);
        }
    }

    fn entry(&mut self, element: &str, [key, value_name]: [&str; 2], name: &str, value: &Shape) {
        self.element(element, |xml| {
            xml.leaf(key, name);
            xml.value(value_name, value);
        });
    }
}

/// Errors repeat what the client sent, and that may be anything.
fn legal(text: &str) -> String {
    text.chars()
        .map(|character| if is_legal_character(character) { character } else { char::REPLACEMENT_CHARACTER })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(service: Service, shape: &Shape) -> String {
        String::from_utf8(encode(service, "A", shape, "id")).unwrap()
    }

    #[test]
    fn sqs_is_flat_and_sns_is_wrapped() {
        let shape = Shape::fields([
            ("Items", Shape::list("Item", [Shape::text("<&\r")])),
            ("Attributes", Shape::text_map("Attribute", [("n".to_owned(), "v".to_owned())])),
        ]);
        let metadata = "<ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></AResponse>";
        assert_eq!(
            text(Service::Sqs, &shape),
            format!(
                "<AResponse xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\"><AResult><Item>&lt;&amp;&#13;</Item>\
                 <Attribute><Name>n</Name><Value>v</Value></Attribute></AResult>{metadata}"
            )
        );
        assert_eq!(
            text(Service::Sns, &shape),
            format!(
                "<AResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><AResult><Items><member>&lt;&amp;&#13;\
                 </member></Items><Attributes><entry><key>n</key><value>v</value></entry></Attributes></AResult>{metadata}"
            )
        );
        assert!(!text(Service::Sqs, &Shape::Nothing).contains("AResult"));
    }
}
