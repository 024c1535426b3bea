//! The client's byte stream as hyper sees it: scanned, and held back while it is undecided whether what
//! follows is HTTP or a tunnel.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::framing::{Refusal, Scanner};

/// What the request side of a connection and its byte stream tell each other.
#[derive(Debug, Default)]
pub struct Signals {
    tunnelled: AtomicBool,
    busy: AtomicUsize,
}

impl Signals {
    /// From now on bytes belong to the tunnel.
    pub fn tunnel(&self) {
        self.tunnelled.store(true, Ordering::Release);
    }

    /// Whether a request is being answered.
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire) > 0
    }

    /// Marks a request as being answered until the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::AcqRel);
        Busy(Arc::clone(self))
    }
}

/// A request is being answered.
#[derive(Debug)]
pub struct Busy(Arc<Signals>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Reads through a [`Scanner`]; writes pass.
///
/// **Invariant:** between a request that asks for an upgrade and the Engine's 101 nothing is read, so that
/// what the client sends early can neither reach the Engine before the upgrade nor be taken for a request.
pub struct Guarded<S> {
    io: S,
    scanner: Scanner,
    refused: Option<Refusal>,
    signals: Arc<Signals>,
    head_timeout: Duration,
    head_deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Guarded<S> {
    /// Around a connection on which nothing was read yet. A head may take `head_timeout` from its first
    /// byte to its last.
    pub fn new(io: S, signals: Arc<Signals>, head_timeout: Duration) -> Self {
        Self {
            io,
            scanner: Scanner::new(),
            refused: None,
            signals,
            head_timeout,
            head_deadline: None,
        }
    }

    /// Why reading stopped, if the scanner stopped it.
    pub fn refused(&self) -> Option<Refusal> {
        self.refused
    }

    /// What it was made around.
    pub fn get_ref(&self) -> &S {
        &self.io
    }

    /// The stream without its guard, for a last answer.
    pub fn into_inner(self) -> S {
        self.io
    }

    fn refuse(&mut self, refusal: Refusal) -> io::Error {
        self.refused = Some(refusal);
        io::Error::new(io::ErrorKind::InvalidData, refusal)
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.head_deadline {
            Some(deadline) => {
                ready!(deadline.as_mut().poll(cx));
                Poll::Ready(Err(self.refuse(Refusal::HeadTooSlow)))
            }
            None => Poll::Pending,
        }
    }

    fn watch_head(&mut self) {
        if !self.scanner.is_inside_head() {
            self.head_deadline = None;
        } else if self.head_deadline.is_none() {
            self.head_deadline = Some(Box::pin(tokio::time::sleep(self.head_timeout)));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(refusal) = this.refused {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, refusal)));
        }
        if this.scanner.is_opaque() && !this.signals.tunnelled.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.io).poll_read(cx, buf) {
            Poll::Pending => {
                this.watch_head();
                return this.poll_deadline(cx);
            }
            Poll::Ready(result) => result?,
        }
        if let Err(stop) = this.scanner.feed(&buf.filled()[before..]) {
            buf.set_filled(before + stop.allowed);
            let error = this.refuse(stop.refusal);
            return Poll::Ready(if stop.allowed == 0 { Err(error) } else { Ok(()) });
        }
        this.watch_head();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper takes a refusal for the end of the stream and closes; the reason has yet to be written.
        if self.refused.is_some() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
