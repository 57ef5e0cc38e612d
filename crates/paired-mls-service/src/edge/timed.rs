//! A stream that ends when its connection has had its time.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::Connection;

/// The bytes of a connection. Whoever reads or writes them gets an error when it has had its time.
pub(crate) struct Timed<S> {
    stream: S,
    connection: Arc<Connection>,
    look: Pin<Box<Sleep>>,
    /// What is to be given up with the connection.
    _places: Places,
}

/// The places that a connection has taken.
pub(super) type Places = Box<dyn std::any::Any + Send>;

impl<S> Timed<S> {
    pub(super) fn new(stream: S, connection: Arc<Connection>, places: Places) -> Self {
        let look = Box::pin(sleep(connection.times().tick()));
        Self { stream, connection, look, _places: places }
    }

    /// An error once the time is over. Otherwise the task is woken to look again.
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.look.as_mut().poll(context).is_ready() {
            if self.connection.is_overdue(Instant::now()) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.look.as_mut().reset(Instant::now() + self.connection.times().tick());
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.in_time(context)?;
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.in_time(context)?;
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.in_time(context)?;
        Pin::new(&mut this.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
