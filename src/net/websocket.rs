//! A connection's bytes within WebSocket frames: what a driver reads and writes is their payload.
//!
//! Frames are taken apart in the buffer that they are read into and headers are written beside the machine's bytes, so that a message
//! costs no memory of its own. Pings are answered between two frames; what closes the connection is said with its code.

mod control;
mod upgrade;
mod writer;

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use crossdock_common::output::Close;
use crossdock_websocket::{CloseCode, Decoder, End, Limits, Violation};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::transport::Transport;
use control::Control;
use writer::Writer;

pub(super) use upgrade::{Agreement, Gate, Rejection};
pub(super) use writer::Messages;

/// Reads without payload before others have their turn: somebody may send pings only.
const EMPTY_READS_MAX: usize = 16;

/// A WebSocket, after the handshake.
pub(super) struct WebSocket {
    wire: Transport,
    /// What came with the handshake.
    early: Bytes,
    decoder: Decoder,
    writer: Writer,
    control: Control,
    /// Something came that was no payload.
    was_heard_beneath: bool,
    /// The peer closes, or was told why we do: whatever comes is read and forgotten.
    is_closing: bool,
}

/// What the driver is told when a peer breaks a rule of WebSocket.
pub(super) fn violation(error: &io::Error) -> Option<Violation> {
    error.get_ref()?.downcast_ref().copied()
}

/// What the peer is told of why the connection ends.
pub(super) fn close_code(close: &Close) -> CloseCode {
    match close {
        Close::Normal => CloseCode::NORMAL,
        Close::Shutdown => CloseCode::GOING_AWAY,
        Close::Violation { .. } => CloseCode::PROTOCOL_ERROR,
        Close::Refused(_) | Close::TimedOut(_) | Close::TakenOver => CloseCode::POLICY,
    }
}

impl WebSocket {
    pub(super) fn new(wire: Transport, early: Bytes, limits: Limits, messages: Messages) -> Self {
        let (decoder, writer) = (Decoder::new(limits), Writer::new(messages));
        Self { wire, early, decoder, writer, control: Control::default(), was_heard_beneath: false, is_closing: false }
    }

    pub(super) fn wire(&self) -> &Transport {
        &self.wire
    }

    pub(super) fn wire_mut(&mut self) -> &mut Transport {
        &mut self.wire
    }

    /// Told once.
    pub(super) fn was_heard_beneath(&mut self) -> bool {
        std::mem::take(&mut self.was_heard_beneath)
    }

    /// The peer is told when the stream is shut down.
    pub(super) fn close_with(&mut self, code: CloseCode) {
        self.control.close_with(Some(code));
    }

    /// Reads and decodes until there is payload, or an end.
    fn poll_payload(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        for _ in 0..EMPTY_READS_MAX {
            // Room for an answer to a ping may be there later; reading goes on.
            if let Poll::Ready(Err(error)) = self.poll_control(context) {
                return Poll::Ready(Err(error));
            }
            match self.decoder.end() {
                Some(End::Closed(_)) => return Poll::Ready(Ok(())),
                Some(End::Failed(violation)) => {
                    return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, violation)));
                }
                None => {}
            }
            let before = buffer.filled().len();
            ready!(self.poll_wire(context, buffer))?;
            let read = &mut buffer.filled_mut()[before..];
            if read.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let control = &mut self.control;
            let payload_bytes = self.decoder.decode(read, |ping| control.pong(ping));
            buffer.set_filled(before + payload_bytes);
            if let Some(End::Closed(code)) = self.decoder.end() {
                self.control.close_with(code);
                self.control.close();
            }
            if payload_bytes > 0 {
                return Poll::Ready(Ok(()));
            }
            self.was_heard_beneath = true;
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_wire(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.wire).poll_read(context, buffer);
        }
        let count = self.early.len().min(buffer.remaining());
        buffer.put_slice(&self.early.split_to(count));
        Poll::Ready(Ok(()))
    }

    /// Writes what is to be said beside the payload, if it is between two frames.
    fn poll_control(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.control.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if self.writer.is_within_a_frame() {
            return Poll::Pending;
        }
        while !self.control.is_empty() {
            let count = ready!(Pin::new(&mut self.wire).poll_write(context, self.control.chunk()))?;
            if count == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.control.advance(count);
        }
        Pin::new(&mut self.wire).poll_flush(context)
    }
}

impl AsyncRead for WebSocket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // After a violation nothing can be understood any more.
        if this.is_closing && matches!(this.decoder.end(), Some(End::Failed(_))) {
            return this.poll_wire(context, buffer);
        }
        this.poll_payload(context, buffer)
    }
}

impl AsyncWrite for WebSocket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.writer.is_within_a_frame() {
            ready!(this.poll_control(context))?;
        }
        this.writer.poll_write(&mut this.wire, context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_control(context))?;
        Pin::new(&mut this.wire).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.is_closing = true;
        this.control.close();
        ready!(this.poll_control(context))?;
        Pin::new(&mut this.wire).poll_shutdown(context)
    }
}
