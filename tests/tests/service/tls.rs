//! The door behind TLS as a service: its address is systemd's, certificate and key come as
//! credentials or as files, and a new pair is taken without anybody being sent away.
//!
//! Knocks come from outside of the container, through a socket file that systemd's own proxy hands
//! on to the port inside. A certificate is believed only when it is the one that was put there.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use promises::{Container, attlog, read_reply};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{ACTIVE, SOON, installed};

const NAME: &str = "satelite.example.mx";
const SERIAL: &str = "TLS0000001";
/// The socket file of the proxy.
const WAY_IN: &str = "/srv/door.sock";
/// Certificate and key as credentials of these files.
const CREDENTIALS: &str = "mkdir -p /etc/systemd/system/satellite.service.d && printf \
    '[Service]\\nLoadCredential=devices.crt:/srv/devices.crt\\nLoadCredential=devices.key:/srv/devices.key\\n' \
    > /etc/systemd/system/satellite.service.d/tls.conf && systemctl daemon-reload";

type Line = TlsStream<UnixStream>;

/// A new pair, as both files have it and as a client believes it.
struct Pair {
    certificate: String,
    key: String,
    believed: CertificateDer<'static>,
}

impl Pair {
    fn new() -> Result<Self> {
        let pair = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        Ok(Self {
            certificate: pair.cert.pem(),
            key: pair.signing_key.serialize_pem(),
            believed: pair.cert.der().clone(),
        })
    }

    /// Writes it as `devices.crt` and `devices.key` into a folder of the container, where root and
    /// the service may read the key.
    async fn put(&self, container: &Container, folder: &str) -> Result<()> {
        for (name, text) in [
            ("devices.crt", &self.certificate),
            ("devices.key", &self.key),
        ] {
            std::fs::write(container.file(&format!("/srv/new.{name}")), text)?;
            let install =
                format!("install -o root -g satellite -m 0640 /srv/new.{name} {folder}/{name}");
            container.sh(&install).await?;
        }
        Ok(())
    }

    /// A connection on which this certificate is shown.
    async fn knock(&self, container: &Container) -> Result<Line> {
        let mut roots = RootCertStore::empty();
        roots.add(self.believed.clone())?;
        let config = ClientConfig::builder().with_root_certificates(roots);
        let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
        let stream = UnixStream::connect(container.file(WAY_IN)).await?;
        let name = ServerName::try_from(NAME)?;
        let connected = tokio::time::timeout(SOON, connector.connect(name, stream)).await;
        connected.context("no answer")?.context("no TLS")
    }

    /// The same as soon as this certificate is in force.
    async fn in_force(&self, container: &Container) -> Result<Line> {
        for _ in 0..50 {
            if let Ok(line) = self.knock(container).await {
                return Ok(line);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        bail!("this certificate is not shown")
    }
}

/// Has a punch of that person stored over this connection.
async fn punch(line: &mut Line, person: u32) -> Result<()> {
    let record = format!("{person}\t2026-11-21 09:00:00\t0\t1\n");
    line.write_all(&attlog(SERIAL, "9999", record.as_bytes()))
        .await?;
    let reply = tokio::time::timeout(SOON, read_reply(line)).await?;
    let reply = reply.context("no reply")?;
    ensure!(reply.accepts(1), "{reply:?}");
    Ok(())
}

/// The page of SECURITY.md, up to an address that is systemd's.
async fn opened(container: &Container) -> Result<()> {
    let door = "printf '[listen]\\ndevices_tls = { address = \"0.0.0.0:8443\", certificate = \
                \"devices.crt\", key = \"devices.key\" }\\n' >> /etc/satellite/satellite.toml";
    container.sh(door).await?;
    let add = format!("satellite devices add --tenant main --vendor zkteco --serial {SERIAL}");
    container.sh(&add).await?;
    for step in [
        "systemctl stop satellite",
        "systemctl enable --now satellite-devices-tls.socket",
        "systemctl start satellite",
    ] {
        container.sh(step).await?;
    }
    let way_in = format!(
        "systemd-run --quiet --unit door --socket-property=ListenStream={WAY_IN} \
         /lib/systemd/systemd-socket-proxyd 127.0.0.1:8443"
    );
    container.sh(&way_in).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_comes_through_systemds_socket_with_credentials_and_a_new_pair_sends_nobody_away()
-> Result<()> {
    let Some(container) = installed().await? else {
        return Ok(());
    };
    let (first, second) = (Pair::new()?, Pair::new()?);
    first.put(&container, "/srv").await?;
    container.sh(CREDENTIALS).await?;
    opened(&container).await?;
    punch(&mut first.knock(&container).await?, 1).await?;

    // A terminal that knocks while satellite is down waits for it, and its knock starts it.
    second.put(&container, "/srv").await?;
    container.sh("systemctl stop satellite").await?;
    punch(&mut second.knock(&container).await?, 2).await?;
    ensure!(container.sh(ACTIVE).await?.trim() == "active");

    // Files instead of copies that systemd makes at the start: now a reload is enough.
    let files = "rm /etc/systemd/system/satellite.service.d/tls.conf && systemctl daemon-reload";
    container.sh(files).await?;
    first.put(&container, "/etc/satellite/secrets").await?;
    container.sh("systemctl restart satellite").await?;
    let mut open = first.knock(&container).await?;
    punch(&mut open, 3).await?;
    second.put(&container, "/etc/satellite/secrets").await?;
    container.sh("systemctl reload satellite").await?;
    punch(&mut second.in_force(&container).await?, 4).await?;
    punch(&mut open, 5).await.context("the open connection")?;

    let events = container
        .sh("satellite events --format json --since 2026-11-01")
        .await?;
    ensure!(events.lines().count() == 5, "{events}");
    let plain = container.sh("satellite devices list --plain").await?;
    ensure!(!plain.contains(SERIAL), "{plain}");
    let journal = container.sh("journalctl -u satellite --no-pager").await?;
    ensure!(
        !journal.contains("PRIVATE KEY"),
        "the key is in the journal"
    );
    ensure!(!journal.contains("is not used"), "a socket was not used");
    Ok(())
}
