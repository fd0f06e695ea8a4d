//! Which process the server announced at the login (PostgreSQL documentation, "BackendKeyData").
//!
//! The query library keeps it to itself but writes it into every request for cancelling. So such a request is written
//! down here, and sent nowhere.

use std::future::Ready;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Client;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// Where the process id begins in a CancelRequest, after its length and its code.
const AT: usize = 8;

/// The process id that `client` was told at its login; behind a pooler it is often one that the pooler made up.
pub(super) async fn announced_pid(client: &Client) -> Option<i32> {
    let mut request = Vec::new();
    client.cancel_token().cancel_query_raw(Paper(&mut request), NoStream).await.ok()?;
    request.get(AT..AT + 4)?.try_into().ok().map(i32::from_be_bytes)
}

/// What is written to it stays here.
struct Paper<'a>(&'a mut Vec<u8>);

impl AsyncRead for Paper<'_> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Paper<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl TlsStream for Paper<'_> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

/// There is nobody to encrypt for.
struct NoStream;

impl<'a> TlsConnect<Paper<'a>> for NoStream {
    type Stream = Paper<'a>;
    type Error = io::Error;
    type Future = Ready<io::Result<Paper<'a>>>;

    fn connect(self, paper: Paper<'a>) -> Self::Future {
        std::future::ready(Ok(paper))
    }
}
