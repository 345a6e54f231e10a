//! Requests against real sockets that behave and misbehave.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

use super::*;

const SOON: Duration = Duration::from_millis(300);

/// A server that reads a request's head, says `answer` and closes; it serves for ever.
async fn server(answer: &'static [u8]) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).await.unwrap_or(0);
                if read > 0 {
                    stream.write_all(answer).await.ok();
                }
            });
        }
    });
    format!("http://{at}/x").parse().unwrap()
}

#[tokio::test]
async fn an_answer_is_read_whole_with_its_status_and_the_time_it_took() {
    let url =
        server(b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 5\r\n\r\nmoved").await;
    let answer = Fetch::get(url).send().await.unwrap();
    assert_eq!(
        (answer.status, answer.location.as_deref()),
        (302, Some("/login"))
    );
    assert_eq!(
        (answer.body.as_slice(), answer.is_cut),
        (b"moved".as_slice(), false)
    );
    assert!(answer.took > Duration::ZERO && answer.certificate.is_none());
}

#[tokio::test]
async fn a_body_without_end_is_cut_at_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    let answer = Fetch::get(url).limit(10_000).send().await.unwrap();
    assert_eq!((answer.body.len(), answer.is_cut), (10_000, true));
}

#[tokio::test]
async fn each_failure_names_its_stage() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = nobody.local_addr().unwrap();
    drop(nobody);
    let refused = Fetch::get(format!("http://{at}").parse().unwrap())
        .send()
        .await
        .unwrap_err();
    assert!(
        matches!(refused, Failed::Refused(_)) && refused.is_unreachable(),
        "{refused}"
    );

    let url = server(b"SSH-2.0-OpenSSH\r\n").await;
    let foreign = Fetch::get(url.clone()).send().await.unwrap_err();
    assert!(
        matches!(foreign, Failed::Http(_)) && !foreign.is_unreachable(),
        "{foreign}"
    );
    let url: Url = url.to_string().replace("http:", "https:").parse().unwrap();
    let plain = Fetch::get(url).send().await.unwrap_err();
    assert!(matches!(plain, Failed::Tls(_, None)), "{plain}");

    let name = Fetch::get("http://nobody.invalid".parse().unwrap()).within(Duration::from_secs(20));
    let name = name.send().await.unwrap_err();
    assert!(name.is_unreachable(), "{name}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_at_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for scheme in ["http", "https"] {
        let url: Url = format!("{scheme}://{}", silent.local_addr().unwrap())
            .parse()
            .unwrap();
        let late = Fetch::get(url).within(SOON).send().await.unwrap_err();
        let stage = if scheme == "http" { "answer" } else { "tls" };
        assert_eq!(late, Failed::Late { stage, after: SOON });
    }
}

/// A TLS server with a certificate for `localhost` that is good until `year`; with its PEM.
async fn tls_server(year: i32) -> (Url, String) {
    let mut wanted = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    wanted.not_before = rcgen::date_time_ymd(2020, 1, 1);
    wanted.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = wanted.self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(tcp).await else {
                continue;
            };
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                stream.write_all(answer).await.ok();
                stream.shutdown().await.ok();
            }
        }
    });
    let url = format!("https://localhost:{port}").parse().unwrap();
    (url, certificate.pem())
}

#[tokio::test]
async fn an_encrypted_answer_comes_with_the_certificate() {
    let (url, pem) = tls_server(2100).await;
    let trust = Trust::with(&pem).unwrap();
    let answer = Fetch::get(url.clone())
        .trust(trust.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (200, b"ok".as_slice())
    );
    assert_eq!(answer.certificate, certificate_of(pem.as_bytes()));
    let shown = certificate(&url, &trust, SOON).await.unwrap();
    assert_eq!(Some(shown), certificate_of(pem.as_bytes()));
}

#[tokio::test]
async fn a_certificate_that_is_not_good_is_refused_and_shown_all_the_same() {
    let (expired, pem) = tls_server(2021).await;
    let trust = Trust::with(&pem).unwrap();
    let unknown = tls_server(2100).await.0;
    for url in [expired, unknown] {
        let failed = Fetch::get(url)
            .trust(trust.clone())
            .send()
            .await
            .unwrap_err();
        assert!(matches!(failed, Failed::Tls(_, Some(_))), "{failed}");
    }
    assert!(Trust::with("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----").is_err());
}
