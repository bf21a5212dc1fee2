//! Class `queue`.

use bytes::Bytes;
use crossdock_common::definition::{BindingSpec, Definition, Destination, QueueSpec, REPLY_ADDRESS};
use crossdock_common::{Command, Name};

use super::exchange::pending;
use super::replies::REPLY_TO;
use super::{Channel, LastQueue};
use crate::connection::requests::Pending;
use crate::connection::shared::Context;
use crate::error::{Fault, Interrupt, ReplyCode};
use crate::frame::method::MethodId;
use crate::frame::queue::{BIND_OK, Binding, Declare, DeclareOk, Request, UNBIND_OK};
use crate::frame::{put_method, table};

impl Channel {
    pub(super) fn queue(&mut self, cx: &mut Context<'_>, id: MethodId, request: Request<'_>) -> Result<(), Interrupt> {
        let (definition, pending) = match request {
            Request::Declare(declare) => return self.declare_queue(cx, id, declare),
            Request::Bind(binding) => (Definition::Bind(self.spec(cx, binding)?), pending(binding.no_wait, BIND_OK)),
            Request::Unbind(binding) => {
                (Definition::Unbind(self.spec(cx, binding)?), pending(binding.no_wait, UNBIND_OK))
            }
            Request::Purge { queue, no_wait } => {
                let queue = self.queue_name(queue)?;
                let pending = if no_wait { Pending::Silent } else { Pending::Purge };
                self.request(cx, id, pending, |request| Command::Purge { request, queue, everything: false });
                return Ok(());
            }
            Request::Delete { queue, if_unused, if_empty, no_wait } => {
                let definition = Definition::DeleteQueue { name: self.queue_name(queue)?, if_unused, if_empty };
                (definition, if no_wait { Pending::Silent } else { Pending::DeleteQueue })
            }
        };
        self.define(cx, id, pending, definition);
        Ok(())
    }

    /// An empty name means the queue declared last on this channel; while its name is being made, everything waits.
    pub(super) fn queue_name(&self, name: &str) -> Result<Name, Interrupt> {
        if !name.is_empty() {
            return Ok(Name::from(name));
        }
        match &self.last_queue {
            LastQueue::Named(last) => Ok(last.clone()),
            LastQueue::Pending => Err(Interrupt::Stall),
            LastQueue::None => Err(Fault::new(ReplyCode::NotFound, "no previously declared queue").into()),
        }
    }

    fn declare_queue(&mut self, cx: &mut Context<'_>, id: MethodId, declare: Declare<'_>) -> Result<(), Interrupt> {
        if declare.queue == REPLY_TO {
            // It is always there, and has a consumer, as RabbitMQ says.
            self.answer(cx, |buffer, number| {
                put_method(buffer, number, &DeclareOk { queue: REPLY_TO, messages: 0, consumers: 1 });
            });
            return Ok(());
        }
        let passive = declare.passive || declare.queue.starts_with(REPLY_ADDRESS);
        let name = Name::from(declare.queue);
        // If the core refuses, the channel is closed, so it may be believed already.
        let last_queue = if name.is_empty() { LastQueue::Pending } else { LastQueue::Named(name.clone()) };
        let spec = QueueSpec {
            name,
            durable: declare.durable,
            exclusive: declare.exclusive,
            auto_delete: declare.auto_delete,
            arguments: table::decode_copy(declare.arguments, &cx.shared.limits).map_err(Fault::from)?,
            ..QueueSpec::default()
        };
        self.last_queue = last_queue;
        let definition = Definition::DeclareQueue { spec, passive };
        self.define(cx, id, Pending::DeclareQueue { no_wait: declare.no_wait }, definition);
        Ok(())
    }

    pub(super) fn declared(&mut self, cx: &mut Context<'_>, name: Name, ready: u64, consumers: u32, no_wait: bool) {
        if !no_wait {
            let messages = u32::try_from(ready).unwrap_or(u32::MAX);
            let declare_ok = DeclareOk { queue: &name, messages, consumers };
            put_method(cx.output.bytes.buffer(), self.number, &declare_ok);
        }
        if matches!(self.last_queue, LastQueue::Pending) {
            self.last_queue = LastQueue::Named(name);
        }
    }

    fn spec(&self, cx: &Context<'_>, binding: Binding<'_>) -> Result<BindingSpec, Interrupt> {
        let queue = self.queue_name(binding.queue)?;
        // With both names empty, the key is the queue's name as well (specification section 1.7.2.3).
        let key = match (binding.queue, binding.routing_key) {
            ("", []) => Bytes::copy_from_slice(queue.as_bytes()),
            (_, key) => Bytes::copy_from_slice(key),
        };
        Ok(BindingSpec {
            source: Name::from(binding.exchange),
            destination: Destination::Queue(queue),
            key,
            arguments: table::decode_copy(binding.arguments, &cx.shared.limits).map_err(Fault::from)?,
            announced: false,
            attributes: Vec::new(),
        })
    }
}
