//! A body that is written by a thread while it is read by the other side: no more of it than a few pieces is in RAM. Knows
//! pieces and patience; nothing of what is written.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use std::io::{Error, ErrorKind, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Pieces that wait for the reader.
const WAITING: usize = 4;
/// A piece is no larger.
const PIECE: usize = 64 * 1024;
/// A reader who takes nothing for so long has gone.
const PATIENCE: Duration = Duration::from_secs(60);

type Piece = Result<Bytes, Error>;

/// The reading end.
pub(super) struct Spill(Receiver<Piece>);

/// The writing end, for a thread that may wait.
pub(super) struct Pen {
    pieces: Sender<Piece>,
    runtime: Handle,
}

/// Begins to write. What fails half-way breaks the connection off, so that nobody takes the beginning for the whole.
pub(super) fn spill(write: impl FnOnce(&mut Pen) -> anyhow::Result<()> + Send + 'static) -> Spill {
    let (pieces, receiver) = channel(WAITING);
    let mut pen = Pen { pieces, runtime: Handle::current() };
    tokio::task::spawn_blocking(move || {
        if let Err(error) = write(&mut pen) {
            tracing::warn!(error = format!("{error:#}"), "a download was broken off");
            let _ = pen.send(Err(Error::other("broken off")));
        }
    });
    Spill(receiver)
}

impl Pen {
    fn send(&self, piece: Piece) -> Result<(), Error> {
        let sent =
            self.runtime.block_on(async { tokio::time::timeout(PATIENCE, self.pieces.send(piece)).await });
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Error::new(ErrorKind::BrokenPipe, "the reader has left")),
            Err(_) => Err(Error::new(ErrorKind::TimedOut, "the reader takes nothing")),
        }
    }
}

impl Write for Pen {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let piece = &bytes[..bytes.len().min(PIECE)];
        self.send(Ok(Bytes::copy_from_slice(piece)))?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl hyper::body::Body for Spill {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(hyper::body::Frame::data)))
    }
}

impl IntoResponse for Spill {
    fn into_response(self) -> Response {
        Response::new(Body::new(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_written_arrives_and_what_fails_is_no_whole_file() {
        let long = vec![7_u8; 5 * PIECE + 1];
        let expected = long.clone();
        let body = spill(move |to| Ok(to.write_all(&long)?)).into_response().into_body();
        assert_eq!(axum::body::to_bytes(body, usize::MAX).await.unwrap(), expected);

        let body = spill(|to| {
            to.write_all(b"the beginning")?;
            anyhow::bail!("and no more")
        });
        assert!(axum::body::to_bytes(body.into_response().into_body(), usize::MAX).await.is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_writes_hears_that_the_reader_has_left() {
        let (told, hears) = tokio::sync::oneshot::channel();
        drop(spill(move |to| {
            let mut written = Ok(());
            while written.is_ok() {
                written = to.write_all(&[0; 1024]);
            }
            let _ = told.send(written.unwrap_err().kind());
            Ok(())
        }));
        assert_eq!(hears.await.unwrap(), ErrorKind::BrokenPipe);
    }
}
