//! What a driver runs over.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use crossdock_websocket::CloseCode;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::server::TlsStream;

use super::websocket::WebSocket;

/// A connection's bytes, plain, through TLS, or in the frames of a WebSocket.
pub(super) enum Transport {
    Plain(TcpStream),
    /// Boxed: a TLS state is large, and plain connections should not pay for it.
    Tls(Box<TlsStream<TcpStream>>),
    /// Within one of the others.
    WebSocket(Box<WebSocket>),
}

impl Transport {
    /// The certificate that the peer has shown, which the listener has verified.
    pub(super) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => stream.get_ref().1.peer_certificates()?.first(),
            Self::WebSocket(socket) => socket.wire().certificate(),
        }
    }

    /// Whether nobody else can read along.
    pub(super) fn is_tls(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(_) => true,
            Self::WebSocket(socket) => socket.wire().is_tls(),
        }
    }

    /// Has the peer told why the connection ends, where there is a word for it.
    pub(super) fn close_with(&mut self, code: CloseCode) {
        if let Self::WebSocket(socket) = self {
            socket.close_with(code);
        }
    }

    /// Whether the peer has said something that is no payload, since this was asked last.
    pub(super) fn was_heard_beneath(&mut self) -> bool {
        match self {
            Self::Plain(_) | Self::Tls(_) => false,
            Self::WebSocket(socket) => socket.was_heard_beneath(),
        }
    }

    /// Waits for the first byte, which stays to be read. `None` if there is none.
    pub(super) async fn first_byte(&mut self) -> Option<u8> {
        match self {
            Self::Plain(stream) => {
                let mut first = [0];
                (stream.peek(&mut first).await.ok()? > 0).then_some(first[0])
            }
            Self::Tls(stream) => stream.fill_buf().await.ok()?.first().copied(),
            Self::WebSocket(_) => None,
        }
    }

    /// From now on that thread waits for the socket.
    ///
    /// # Errors
    /// No file descriptor is free. Nothing has changed then.
    pub(super) fn move_to(&mut self, thread: &Handle) -> io::Result<()> {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_mut().0,
            Self::WebSocket(socket) => return socket.wire_mut().move_to(thread),
        };
        // The old descriptor leaves the old thread when it is closed, which is when this succeeded.
        let socket = std::net::TcpStream::from(stream.as_fd().try_clone_to_owned()?);
        let _here = thread.enter();
        *stream = TcpStream::from_std(socket)?;
        Ok(())
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::WebSocket(socket) => Pin::new(&mut **socket).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::WebSocket(socket) => Pin::new(&mut **socket).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::WebSocket(socket) => Pin::new(&mut **socket).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::WebSocket(socket) => Pin::new(&mut **socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::WebSocket(socket) => Pin::new(&mut **socket).poll_shutdown(cx),
        }
    }
}
