//! A stream that ends when its connection has had its time.
//!
//! The server finds out by the first 24 bytes whether they are HTTP/2, and hands them on before what follows. For
//! HTTP/1 the head of a request comes in two parts then, for which a buffer of twice the size is made, and kept: for
//! a subscription as long as it is open. So it is looked first, without reading, and a stream that begins as HTTP/2
//! does not is said to have nothing at first: that is HTTP/1 for the server, which reads all of it then.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use super::Connection;

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// By HTTP, of a version that is not known yet.
    Http,
    /// By something else, or it is known.
    Known,
}

/// How HTTP/2 begins (RFC 9113 section 3.4), and no request of HTTP/1.
const HTTP_2: &[u8] = b"PRI";

/// The bytes of a connection. Whoever reads or writes them gets an error when it has had its time.
pub(crate) struct Timed {
    stream: TcpStream,
    opening: Opening,
    connection: Arc<Connection>,
    look: Pin<Box<Sleep>>,
    /// What is to be given up with the connection.
    _places: Places,
}

/// The places that a connection has taken.
pub(super) type Places = Box<dyn std::any::Any + Send>;

impl Timed {
    pub(super) fn new(
        stream: TcpStream,
        opening: Opening,
        connection: Arc<Connection>,
        places: Places,
    ) -> Self {
        let look = Box::pin(sleep(connection.times().tick()));
        Self { stream, opening, connection, look, _places: places }
    }

    /// Looks how it begins. Ends with `true` for HTTP/1.
    fn opens_http1(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut first = [0; HTTP_2.len()];
        let mut first = ReadBuf::new(&mut first);
        std::task::ready!(self.stream.poll_peek(context, &mut first))?;
        self.opening = Opening::Known;
        // One that has ended, or has begun with too little to tell, is read as it is.
        Poll::Ready(Ok(!HTTP_2.starts_with(first.filled())))
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

impl AsyncRead for Timed {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.in_time(context)?;
        if this.opening == Opening::Http && std::task::ready!(this.opens_http1(context))? {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Timed {
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

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::{
        Limits,
        edge::{Carries, Times},
    };

    /// What is read first, and next, of a connection that begins so.
    async fn reads(opening: Opening, first: &[u8], next: &[u8]) -> [Vec<u8>; 2] {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        client.write_all(first).await.unwrap();
        stream.readable().await.unwrap();
        let connection = Connection::new(Times::of(&Limits::default()), Carries::Client);
        let mut timed = Timed::new(stream, opening, connection, Box::new(()));
        let mut read = [Vec::new(), Vec::new()];
        for (read, next) in read.iter_mut().zip([next, &[]]) {
            let mut bytes = [0; 24];
            let count = timed.read(&mut bytes).await.unwrap();
            read.extend_from_slice(&bytes[..count]);
            client.write_all(next).await.unwrap();
        }
        read
    }

    #[tokio::test]
    async fn what_begins_as_http_1_is_read_in_one_piece() {
        for head in ["GET / HTTP/1.1", "PUT / HTTP/1.1", "POST / HTTP/1.1", "PR", "x"] {
            let whole = !HTTP_2.starts_with(head.as_bytes());
            let expected = match whole {
                true => [Vec::new(), head.into()],
                false => [head.into(), b"rest".to_vec()],
            };
            let next: &[u8] = if whole { b"" } else { b"rest" };
            assert_eq!(reads(Opening::Http, head.as_bytes(), next).await, expected, "{head}");
        }
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let read = reads(Opening::Http, preface, b"more").await;
        assert_eq!(read, [preface.to_vec(), b"more".to_vec()]);
        // What begins by TLS is nobody's to look at.
        assert_eq!(
            reads(Opening::Known, b"GET", b"more").await,
            [b"GET".to_vec(), b"more".to_vec()]
        );
    }
}
