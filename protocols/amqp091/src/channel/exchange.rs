//! Class `exchange`.

use bytes::Bytes;
use crossdock_common::Name;
use crossdock_common::definition::{BindingSpec, Definition, Destination, ExchangeSpec};

use super::Channel;
use crate::connection::requests::Pending;
use crate::connection::shared::Context;
use crate::error::{Fault, Interrupt};
use crate::frame::exchange::{BIND_OK, Binding, DECLARE_OK, DELETE_OK, Declare, Request, UNBIND_OK};
use crate::frame::method::MethodId;
use crate::frame::table;

impl Channel {
    pub(super) fn exchange(
        &mut self,
        cx: &mut Context<'_>,
        id: MethodId,
        request: Request<'_>,
    ) -> Result<(), Interrupt> {
        let (definition, pending) = match request {
            Request::Declare(declare) => (declaration(cx, declare)?, pending(declare.no_wait, DECLARE_OK)),
            Request::Delete { exchange, if_unused, no_wait } => {
                let definition = Definition::DeleteExchange { name: Name::from(exchange), if_unused };
                (definition, pending(no_wait, DELETE_OK))
            }
            Request::Bind(binding) => (Definition::Bind(spec(cx, binding)?), pending(binding.no_wait, BIND_OK)),
            Request::Unbind(binding) => (Definition::Unbind(spec(cx, binding)?), pending(binding.no_wait, UNBIND_OK)),
        };
        self.define(cx, id, pending, definition);
        Ok(())
    }
}

/// An answer without arguments, if one is wanted.
pub(super) fn pending(no_wait: bool, ok: MethodId) -> Pending {
    if no_wait { Pending::Silent } else { Pending::Empty(ok) }
}

fn declaration(cx: &Context<'_>, declare: Declare<'_>) -> Result<Definition, Fault> {
    let spec = ExchangeSpec {
        name: Name::from(declare.exchange),
        kind: Name::from(declare.kind),
        durable: declare.durable,
        auto_delete: declare.auto_delete,
        internal: declare.internal,
        arguments: table::decode_copy(declare.arguments, &cx.shared.limits)?,
        attributes: Vec::new(),
    };
    Ok(Definition::DeclareExchange { spec, passive: declare.passive })
}

fn spec(cx: &Context<'_>, binding: Binding<'_>) -> Result<BindingSpec, Fault> {
    Ok(BindingSpec {
        source: Name::from(binding.source),
        destination: Destination::Exchange(Name::from(binding.destination)),
        key: Bytes::copy_from_slice(binding.routing_key),
        arguments: table::decode_copy(binding.arguments, &cx.shared.limits)?,
        announced: false,
        attributes: Vec::new(),
    })
}
