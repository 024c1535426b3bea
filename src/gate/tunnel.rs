//! An upgraded connection: bytes both ways until both sides are done, the certificate runs out, or somebody
//! cuts it. No idle timeout.
//!
//! The end of one direction is relayed and the other goes on: `echo ok | docker run -i ... cat` closes its
//! sending side and still wants the answer. Towards the client that is close_notify, towards dockerd
//! `shutdown(SHUT_WR)`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadHalf, WriteHalf};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::access::Record;
use super::guarded::{Guarded, Signals};
use super::registry::{CutReason, Entered};

/// The client's side of a connection.
pub type ClientStream = Guarded<TlsStream<TcpStream>>;

/// Bytes moved at a time, per direction: one TLS record.
const BUFFER_BYTES: usize = 16 * 1024;
/// How long a client may go on sending to an Engine that is gone.
const LINGER: Duration = Duration::from_secs(2);

/// One side of a tunnel: its stream, and what was read from it with the HTTP head.
struct Side<S> {
    io: S,
    early: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Side<S> {
    fn of(upgraded: Upgraded) -> Option<Self> {
        let parts = upgraded.downcast::<TokioIo<S>>().ok()?;
        Some(Self {
            io: parts.io.into_inner(),
            early: parts.read_buf,
        })
    }
}

/// Waits for both sides to be upgraded, then relays until the end.
pub async fn run(
    client: OnUpgrade,
    engine: OnUpgrade,
    connection: Arc<Entered>,
    signals: Arc<Signals>,
    mut record: Record,
) {
    let upgraded = tokio::select! {
        both = async { tokio::try_join!(client, engine) } => both,
        _ = connection.ended() => return,
    };
    let sides = upgraded.map(|(client, engine)| (Side::of(client), Side::of(engine)));
    let (client, engine): (Side<ClientStream>, Side<UnixStream>) = match sides {
        Ok((Some(client), Some(engine))) => (client, engine),
        Ok(_) => return debug!("upgraded to a stream of another kind"),
        Err(error) => return debug!(%error, "the upgrade was not completed"),
    };
    signals.tunnel();
    match relay(client, engine, &connection, &record).await {
        Ok(()) => record.set_complete(),
        Err(error) => debug!(%error, connection = connection.number, "tunnel broken off"),
    }
}

async fn relay(
    client: Side<ClientStream>,
    engine: Side<UnixStream>,
    connection: &Entered,
    record: &Record,
) -> io::Result<()> {
    let (bytes_in, bytes_out) = record.counters();
    let (mut from_client, mut to_client) = tokio::io::split(client.io);
    let (mut from_engine, mut to_engine) = engine.io.into_split();
    let ended = {
        let upload = upload(&mut from_client, client.early, &mut to_engine, &bytes_in);
        let download = download(&mut from_engine, engine.early, &mut to_client, &bytes_out);
        tokio::select! {
            result = both_ways(upload, download) => Ok(result),
            reason = connection.ended() => Err(reason),
        }
    };
    match ended {
        Ok(result) => result,
        Err(reason) => Err(cut(from_client.unsplit(to_client), reason)),
    }
}

/// A cut client gets a reset, and nothing that was still buffered for it: a clean end would look like the end
/// of the command it was running.
fn cut(client: ClientStream, reason: CutReason) -> io::Error {
    if let Err(error) = client.get_ref().get_ref().0.set_zero_linger() {
        debug!(%error, "a cut connection is closed without a reset");
    }
    io::Error::other(reason)
}

/// Runs both directions. When the Engine is done and has closed its socket altogether, the client's direction
/// has nowhere to go and is not waited for long.
async fn both_ways(
    upload: impl Future<Output = io::Result<()>>,
    download: impl Future<Output = io::Result<bool>>,
) -> io::Result<()> {
    tokio::pin!(upload, download);
    tokio::select! {
        up = &mut upload => {
            up?;
            download.await.map(|_| ())
        }
        down = &mut download => match down? {
            true => tokio::time::timeout(LINGER, upload).await.unwrap_or(Ok(())),
            false => upload.await,
        },
    }
}

/// Client to Engine. Once the Engine takes no more, what the client still sends is read and dropped: closing
/// on unread bytes would reset the connection under the output that is on its way.
async fn upload(
    client: &mut ReadHalf<ClientStream>,
    early: Bytes,
    engine: &mut OwnedWriteHalf,
    count: &AtomicU64,
) -> io::Result<()> {
    let mut takes = pass(engine, &early, count).await.is_ok();
    drop(early);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = match client.read(&mut buffer).await {
            Ok(0) => break,
            // Some clients half-close TCP without TLS's close_notify (Python's socket.shutdown).
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => break,
            other => other?,
        };
        takes = takes && pass(engine, &buffer[..read], count).await.is_ok();
    }
    if takes && let Err(error) = engine.shutdown().await {
        debug!(%error, "the end of input was not relayed");
    }
    Ok(())
}

/// Engine to client. Says whether the Engine closed its socket altogether.
async fn download(
    engine: &mut OwnedReadHalf,
    early: Bytes,
    client: &mut WriteHalf<ClientStream>,
    count: &AtomicU64,
) -> io::Result<bool> {
    pass(client, &early, count).await?;
    drop(early);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = engine.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        pass(client, &buffer[..read], count).await?;
    }
    client.shutdown().await?;
    Ok(engine.ready(Interest::WRITABLE).await?.is_write_closed())
}

async fn pass(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8], count: &AtomicU64) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    to.write_all(bytes).await?;
    to.flush().await?;
    count.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    Ok(())
}
