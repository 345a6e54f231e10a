//! A bare HTTP server: what the load and the machine reach when nothing is stored.
//!
//! hyper as it comes, one task for each connection. It reads each body to its end, counts its
//! lines and says OK. It is no receiver: what it was sent is gone.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// Where it listens.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Port on 127.0.0.1.
    port: u16,
}

/// Serves until the process is ended.
pub(crate) async fn serve(options: &Options) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
        .await
        .with_context(|| format!("port {} cannot be taken", options.port))?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(stream));
    }
}

async fn connection(stream: TcpStream) {
    stream.set_nodelay(true).ok();
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
    // A terminal that goes away in the middle is the load's matter.
    served.await.ok();
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let shakes_hands = *request.method() == Method::GET && request.uri().path().ends_with("/cdata");
    let serial = serial(request.uri().query().unwrap_or_default()).to_owned();
    let lines = match request.into_body().collect().await {
        Ok(body) => memchr::memchr_iter(b'\n', &body.to_bytes()).count(),
        Err(_) => 0,
    };
    let text = if shakes_hands {
        format!(
            "GET OPTION FROM: {serial}\nATTLOGStamp=None\nErrorDelay=30\nDelay=10\nRealtime=1\n"
        )
    } else {
        format!("OK: {lines}")
    };
    Ok(Response::new(Full::new(Bytes::from(text))))
}

fn serial(query: &str) -> &str {
    let pairs = query.split('&');
    pairs
        .filter_map(|pair| pair.strip_prefix("SN="))
        .next()
        .unwrap_or_default()
}
