//! Connections: how many at once, how long one may take over its headers, and how all of them end. Knows sockets; nothing
//! of what is asked on them.

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower_service::Service;

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// So many are open at once; the next wait in the system's queue.
    pub connections: usize,
    /// The headers of a request have to be there within this time, and a connection on which nobody asks for so long ends.
    pub headers_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 1_024, headers_within: Duration::from_secs(30) }
    }
}

/// After an error that is not one connection's (no descriptors left), this long until the next is taken.
const BREATH: Duration = Duration::from_millis(200);

/// Serves until `stop` is done and every answer under way has been given. Each request carries its peer's address as
/// `ConnectInfo<SocketAddr>`.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let ending = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            // Never closed, so there is a place sooner or later.
            let place = places.clone().acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = ending.watch(connection(stream, peer, router.clone(), limits));
                tokio::spawn(async move {
                    // A peer that hangs up or writes nonsense has only itself to blame.
                    let _ = connection.await;
                    drop(place);
                });
            }
            Err(error) if is_of_one(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be taken");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    drop(listener);
    ending.shutdown().await;
}

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: Limits,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> {
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(limits.headers_within);
    protocol.serve_connection(TokioIo::new(stream), answer)
}

/// The connection was gone before it was taken.
fn is_of_one(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    async fn start(limits: Limits) -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new()
            .route("/", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }));
        let served = tokio::spawn(serve(listener, router, limits, async move { drop(stopped.await) }));
        (address, stop, served)
    }

    async fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut bytes = vec![0; 4_096];
        let n = stream.read(&mut bytes).await.unwrap();
        String::from_utf8_lossy(&bytes[..n]).into_owned()
    }

    #[tokio::test]
    async fn a_request_knows_its_peer_and_a_stop_ends_idle_connections() {
        let (address, stop, served) = start(Limits::default()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut stream).await.ends_with(&stream.local_addr().unwrap().to_string()));
        stop.send(()).unwrap();
        served.await.unwrap();
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn headers_that_never_end_do_not_hold_a_place_and_more_connections_wait_for_one() {
        let limits = Limits { connections: 1, headers_within: Duration::from_millis(50) };
        let (address, _stop, _served) = start(limits).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        let mut other = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut other).await.starts_with("HTTP/1.1 200"), "it waited for the place");
        let mut rest = Vec::new();
        slow.read_to_end(&mut rest).await.unwrap();
        assert!(!String::from_utf8_lossy(&rest).contains("200"));
    }

    #[tokio::test]
    async fn a_connection_on_which_nobody_asks_ends_and_gives_its_place_back() {
        let limits = Limits { connections: 1, headers_within: Duration::from_millis(50) };
        let (address, _stop, _served) = start(limits).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut idle).await.starts_with("HTTP/1.1 200"));
        let mut silent = TcpStream::connect(address).await.unwrap();
        assert_eq!(idle.read(&mut [0; 16]).await.unwrap(), 0, "it asked once and then no more");
        let mut other = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut other).await.starts_with("HTTP/1.1 200"), "the one before never asked at all");
        assert_eq!(silent.read(&mut [0; 16]).await.unwrap(), 0);
    }
}
