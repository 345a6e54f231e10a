//! The distribution's nginx and Apache with the recipes that are shipped. What both need besides
//! (folders of their own, modules, ports) is as little as lets them run beside those of the machine;
//! nothing of a recipe is changed but ports and the place of the certificate.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use promises::{Reply, free_port, read_reply};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::WITHIN;

/// The name in the recipes.
const NAME: &str = "satelite.example.mx";

#[derive(Debug, Clone, Copy)]
pub(crate) enum Make {
    Nginx,
    Apache,
}

/// A proxy of our own, with the recipe that is shipped, in one process: dropping it kills that one,
/// and would leave its children.
pub(crate) struct Proxy {
    pub(crate) plain: SocketAddr,
    tls: SocketAddr,
    certificate: CertificateDer<'static>,
    folder: tempfile::TempDir,
    _child: Child,
}

fn shipped(name: &str) -> Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.context("no folder above")?;
    Ok(fs::read_to_string(root.join("deploy/proxy").join(name))?)
}

/// The recipe with other words in some places, each of which must be there.
fn changed(mut recipe: String, changes: &[(&str, String)]) -> Result<String> {
    for (from, to) in changes {
        ensure!(recipe.contains(from), "the recipe has no {from:?}");
        recipe = recipe.replace(from, to);
    }
    Ok(recipe)
}

impl Proxy {
    /// Starts one before this satellite; `None` with a loud line where there is no program.
    pub(crate) async fn start(make: Make, satellite: SocketAddr) -> Result<Option<Self>> {
        let Some(root) = std::env::var_os("SATELLITE_JUDGE_PROXIES").map(PathBuf::from) else {
            eprintln!(
                "SKIPPED: SATELLITE_JUDGE_PROXIES is not set; NOTHING was tried. Use: cargo xtask test"
            );
            return Ok(None);
        };
        let folder = tempfile::tempdir()?;
        let pair = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        fs::write(folder.path().join("cert.pem"), pair.cert.pem())?;
        fs::write(
            folder.path().join("key.pem"),
            pair.signing_key.serialize_pem(),
        )?;
        let (plain, tls) = (free_port()?, free_port()?);
        let mut command = match make {
            Make::Nginx => nginx(&root, folder.path(), satellite, (plain, tls))?,
            Make::Apache => apache(&root, folder.path(), satellite, (plain, tls))?,
        };
        let said = fs::File::create(folder.path().join("said"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{make:?} did not start"))?;
        let started = Self {
            plain,
            tls,
            certificate: pair.cert.der().clone(),
            folder,
            _child: child,
        };
        started.listens().await?;
        Ok(Some(started))
    }

    async fn listens(&self) -> Result<()> {
        let begun = Instant::now();
        for address in [self.plain, self.tls] {
            while TcpStream::connect(address).await.is_err() {
                ensure!(begun.elapsed() < WITHIN, "nobody listens: {}", self.said()?);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    pub(crate) fn said(&self) -> Result<String> {
        let read = |name| fs::read_to_string(self.folder.path().join(name));
        Ok(read("said")? + &read("errors").unwrap_or_default())
    }

    /// Asks over TLS, believing nothing but the proxy's certificate.
    pub(crate) async fn ask_over_tls(&self, request: &[u8]) -> Result<Reply> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let config = ClientConfig::builder().with_root_certificates(roots);
        let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
        let stream = TcpStream::connect(self.tls).await?;
        let name = ServerName::try_from(NAME)?;
        let mut stream = connector.connect(name, stream).await?;
        stream.write_all(request).await?;
        read_reply(&mut stream).await.context("no reply over TLS")
    }
}

/// nginx with the recipe as its only server.
fn nginx(
    root: &Path,
    folder: &Path,
    satellite: SocketAddr,
    (plain, tls): (SocketAddr, SocketAddr),
) -> Result<Command> {
    let place = folder.display();
    let recipe = changed(
        shipped("nginx.conf")?,
        &[
            ("127.0.0.1:8081", satellite.to_string()),
            ("listen 80 ", format!("listen {plain} ")),
            ("listen 443 ", format!("listen {tls} ")),
            ("/etc/ssl/satelite.crt", format!("{place}/cert.pem")),
            ("/etc/ssl/satelite.key", format!("{place}/key.pem")),
        ],
    )?;
    fs::write(folder.join("recipe.conf"), recipe)?;
    // The user's own folders, so that nothing of the machine's is touched.
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("{what}_temp_path {place}/{what};\n"))
        .collect();
    let main = format!(
        "daemon off;\nmaster_process off;\nuser root;\npid {place}/pid;\nerror_log {place}/errors;\nworker_processes 1;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\naccess_log off;\n{temporary}include {place}/recipe.conf;\n}}\n"
    );
    fs::write(folder.join("main.conf"), main)?;
    let mut command = Command::new(root.join("usr/sbin/nginx"));
    command.arg("-p").arg(folder);
    command.arg("-e").arg(folder.join("errors"));
    command.arg("-c").arg(folder.join("main.conf"));
    Ok(command)
}

/// Apache as a host of other things has it: a plain server and one with TLS, and the recipe beside
/// them.
fn apache(
    root: &Path,
    folder: &Path,
    satellite: SocketAddr,
    (plain, tls): (SocketAddr, SocketAddr),
) -> Result<Command> {
    let place = folder.display();
    let recipe = changed(
        shipped("apache.conf")?,
        &[("127.0.0.1:8081", satellite.to_string())],
    )?;
    fs::write(folder.join("recipe.conf"), recipe)?;
    let modules = root.join("usr/lib/apache2/modules");
    // Those that Debian and XAMPP have on, compression among them, and those that the recipe names.
    let modules: String =
        "mpm_event authz_core env filter deflate reqtimeout headers proxy proxy_http ssl"
            .split(' ')
            .map(|name| {
                let file = modules.join(format!("mod_{name}.so"));
                format!("LoadModule {name}_module {}\n", file.display())
            })
            .collect();
    let main = format!(
        "User nobody\nGroup nogroup\nServerName localhost\nServerRoot {place}\n\
         DefaultRuntimeDir {place}\nPidFile {place}/pid\nErrorLog {place}/errors\n\
         Mutex file:{place} default\nListen {plain}\nListen {tls}\n{modules}\
         AddOutputFilterByType DEFLATE text/html text/plain\n\
         RequestReadTimeout header=20-40,MinRate=500 body=20,MinRate=500\nSSLSessionCache none\n\
         <VirtualHost {tls}>\nServerName {NAME}\nSSLEngine on\nSSLCertificateFile {place}/cert.pem\n\
         SSLCertificateKeyFile {place}/key.pem\n</VirtualHost>\n\
         <VirtualHost {plain}>\nServerName {NAME}\n</VirtualHost>\nInclude {place}/recipe.conf\n"
    );
    fs::write(folder.join("main.conf"), main)?;
    let mut command = Command::new(root.join("usr/sbin/apache2"));
    command.arg("-X");
    command.arg("-f").arg(folder.join("main.conf"));
    let libraries = fs::read_dir(root.join("usr/lib"))?
        .flatten()
        .map(|entry| entry.path());
    let libraries = libraries.filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
    command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries)?);
    Ok(command)
}
