//! `metrics = "ADDRESS:PORT"`: the agent's numbers over plain HTTP, for a scraper on this machine or a trusted network.
//! Answers `GET /metrics` and nothing else; bounded in connections and time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::agent::metrics::Metrics;
use crate::base::metrics::{self, Source};

/// Connections at a time; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 16;
/// How long one may last: it is one short request.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The agent's metrics, with what others count; served until `stop` where there is an address for it.
pub async fn begin(
    address: Option<SocketAddr>,
    sources: impl Iterator<Item = Arc<dyn Source>>,
    stop: &CancellationToken,
) -> anyhow::Result<Arc<Metrics>> {
    let metrics = Arc::new(Metrics::default());
    sources.for_each(|source| metrics.registry().add(source));
    if let Some(address) = address {
        let address = start(address, Arc::clone(&metrics), stop.clone()).await?;
        tracing::info!(%address, "metrics are served");
    }
    Ok(metrics)
}

/// Listens, and answers until `stop`.
async fn start(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address} for metrics: another program may hold the port; choose another with metrics in agent.toml")
    })?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { stop.run_until_cancelled(accept(listener, metrics)).await });
    Ok(address)
}

async fn accept(listener: TcpListener, metrics: Arc<Metrics>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a scraper's connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let metrics = Arc::clone(&metrics);
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(|request| {
                let response = answer(&request, &metrics);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // Whatever goes wrong with a scraper is its own affair.
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
        });
    }
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            (StatusCode::OK, metrics::CONTENT_TYPE, metrics.registry().page())
        }
        (&Method::GET | &Method::HEAD, _) => (
            StatusCode::NOT_FOUND,
            "text/plain",
            "only /metrics is served here\n".to_owned(),
        ),
        _ => (
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            "only GET is answered here\n".to_owned(),
        ),
    };
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, kind)
        .body(Full::new(Bytes::from(text)))
        .expect("constant headers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(CONNECTION_TIMEOUT, read)
            .await
            .unwrap()
            .unwrap();
        answer
    }

    #[tokio::test]
    async fn a_scraper_gets_the_page_and_nothing_else() {
        let stop = CancellationToken::new();
        let metrics = Arc::new(Metrics::default());
        let address = start("127.0.0.1:0".parse().unwrap(), metrics, stop.clone())
            .await
            .unwrap();
        let page = ask(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(
            page.starts_with("HTTP/1.1 200") && page.contains("text/plain; version=0.0.4"),
            "{page}"
        );
        assert!(
            page.contains("\ndockwarden_agent_passes_total{result=\"good\"} 0\n"),
            "{page}"
        );
        assert!(
            ask(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                .await
                .starts_with("HTTP/1.1 404")
        );
        assert!(
            ask(
                address,
                "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
            )
            .await
            .starts_with("HTTP/1.1 405")
        );
        stop.cancel();
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_said_with_the_setting() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = start(address, Arc::default(), CancellationToken::new())
            .await
            .unwrap_err();
        assert!(
            format!("{error:#}").contains("metrics in agent.toml"),
            "{error:#}"
        );
    }
}
