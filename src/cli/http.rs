//! Answers monitoring systems over HTTP: `/metrics` and `/healthz`, for every command that works for long.
//!
//! The protocol is hyper's: a responder of our own would be sixty lines that know nothing of kept connections, `HEAD`,
//! slow or malformed requests, and each of them is a way to hang or to be misread. It brings six small crates of the
//! team that keeps tokio. TLS and passwords are left to what stands in front of it; by default only this machine asks.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::exit::{Exit, Stop};
use crate::connection::printable;
use crate::monitor::exposition::Exposition;

/// What a command shows of itself.
pub trait Monitored: Send + Sync + 'static {
    /// Writes its numbers.
    fn metrics(&self, exposition: &mut Exposition);

    /// Whether it works; one line either way.
    ///
    /// # Errors
    /// The line that says why it does not.
    fn health(&self) -> Result<String, String>;
}

/// Monitoring systems keep a connection each; more than this is no monitoring.
const CONNECTIONS: usize = 32;
/// A client that does not finish its request within this time is left.
const PATIENCE: Duration = Duration::from_secs(10);
/// A request of a monitoring system has a few hundred bytes.
const LONGEST_REQUEST: usize = 16 * 1024;

/// Takes an address like `127.0.0.1:9187`.
///
/// # Errors
/// When it is no address, or can't be had.
pub async fn listen(address: &str) -> Result<TcpListener, Stop> {
    let shown = printable(address);
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            Stop::new(Exit::Failed, format!("Another program listens on {shown} already; choose another port."))
        }
        io::ErrorKind::InvalidInput => {
            Stop::new(Exit::Usage, format!("\"{shown}\" is no address to listen on; write it like 127.0.0.1:9187."))
        }
        _ => Stop::new(Exit::Failed, format!("walpilot can't listen on {shown}: {error}.")),
    })
}

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, monitored: Arc<impl Monitored>) -> Infallible {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut clients = tokio::task::JoinSet::new();
    loop {
        // The permit is taken first: clients beyond the limit wait in the listener's queue.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { continue };
        match listener.accept().await {
            Ok((client, _)) => {
                let monitored = Arc::clone(&monitored);
                clients.spawn(async move {
                    answer(client, &*monitored).await;
                    drop(place);
                });
            }
            // Out of file descriptors, most likely: some of them come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        while clients.try_join_next().is_some() {}
    }
}

async fn answer(client: TcpStream, monitored: &impl Monitored) {
    let service = service_fn(async |request: Request<hyper::body::Incoming>| -> Result<_, Infallible> {
        let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(page(monitored, request.method(), request.uri().path(), accept))
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(LONGEST_REQUEST);
    // A client that goes away or talks nonsense ends its own connection only.
    let _ = server.serve_connection(TokioIo::new(client), service).await;
}

fn page(monitored: &impl Monitored, method: &Method, path: &str, accept: &str) -> Response<String> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD are answered.\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/metrics" => {
            let mut exposition =
                if accept.contains("openmetrics-text") { Exposition::open_metrics() } else { Exposition::prometheus() };
            monitored.metrics(&mut exposition);
            let kind = HeaderValue::from_static(exposition.content_type());
            let mut response = Response::new(exposition.finish());
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        "/healthz" => match monitored.health() {
            Ok(line) => text(StatusCode::OK, &format!("{line}\n")),
            Err(line) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("{line}\n")),
        },
        "/" => text(StatusCode::OK, "walpilot\n/metrics\n/healthz\n"),
        _ => text(StatusCode::NOT_FOUND, "Here are /metrics and /healthz.\n"),
    }
}

fn text(status: StatusCode, body: &str) -> Response<String> {
    let mut response = Response::new(body.to_owned());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
