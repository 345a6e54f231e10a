//! The way of letters out of the container, whose network holds nothing, to a mail server of the test.

use anyhow::Result;
use promises::{Container, Postbox};
use tokio::net::{TcpStream, UnixListener};

/// The relay as those in the container see it.
const WAY_OUT: &str = "systemd-run --quiet --unit post --socket-property=ListenStream=127.0.0.1:2525 \
                       /lib/systemd/systemd-socket-proxyd /srv/post.sock";

/// Opens a mail server; the container reaches it at port 2525.
pub(crate) async fn outside(container: &Container) -> Result<Postbox> {
    let postbox = Postbox::open().await?;
    let door = UnixListener::bind(container.file("/srv/post.sock"))?;
    let server = postbox.url().trim_start_matches("smtp://").to_owned();
    tokio::spawn(hand_on(door, server));
    container.sh(WAY_OUT).await?;
    Ok(postbox)
}

/// Hands whoever connects to the file on to the mail server.
async fn hand_on(door: UnixListener, server: String) {
    while let Ok((mut inside, _)) = door.accept().await {
        let server = server.clone();
        tokio::spawn(async move {
            if let Ok(mut outside) = TcpStream::connect(server).await {
                tokio::io::copy_bidirectional(&mut inside, &mut outside)
                    .await
                    .ok();
            }
        });
    }
}
