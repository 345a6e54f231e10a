//! The port on which devices knock that were set to ISUP (EHome) instead of HTTP listening.
//!
//! ISUP is not publicly specified and is not spoken here. The first bytes are looked at for as
//! long as a hello may take, the device is named in one line with what to change, and the
//! connection is closed. Nothing is ever answered, and nothing that comes here becomes an event.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hikvision_isapi::{HELLO_LIMIT, IsupHello};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpListener;

use crate::clock;
use crate::hub::Hub;

/// Longest that a hello may take.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Pause after the system refused to give us another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// The reasons in `satellite_refused_total`: a device that greeted, and anybody else.
pub(crate) const REASONS: [&str; 2] = ["isup", "not_isup"];

/// Listens until the end begins.
pub(crate) async fn run(hub: Arc<Hub>, listener: TcpListener) {
    let end = hub.drain.token();
    loop {
        let accepted = tokio::select! {
            () = end.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let address = peer.ip().to_canonical();
        match hub.crowd.admit(address, &hub.config.load().limits) {
            Ok(slot) => {
                let (hub, end) = (Arc::clone(&hub), end.clone());
                hub.drain.clone().spawn(async move {
                    tokio::select! {
                        () = end.cancelled() => {}
                        () = hear(&hub, stream, address) => {}
                    }
                    drop(slot);
                });
            }
            Err(reason) => hub.refusals.note(reason, None, address, "", clock::now()),
        }
    }
}

/// Closes the connection only after it was noted.
async fn hear(hub: &Hub, mut stream: impl AsyncRead + Unpin, address: IpAddr) {
    let hello = tokio::time::timeout(HELLO_WITHIN, greeting(&mut stream)).await;
    let (reason, detail) = match hello {
        Ok(Some(hello)) => (REASONS[0], told(&hello)),
        Ok(None) | Err(_) => (REASONS[1], "no hello of ISUP or EHome".to_owned()),
    };
    hub.refusals
        .note(reason, None, address, &detail, clock::now());
}

/// Reads until the bytes are a hello, or cannot become one any more.
async fn greeting(mut stream: impl AsyncRead + Unpin) -> Option<IsupHello> {
    let mut bytes = [0; HELLO_LIMIT];
    let mut filled = 0;
    loop {
        let room = bytes.get_mut(filled..).filter(|room| !room.is_empty())?;
        let read = stream.read(room).await.ok().filter(|read| *read > 0)?;
        filled += read;
        if let Some(hello) = IsupHello::recognise(bytes.get(..filled)?) {
            return Some(hello);
        }
    }
}

fn told(hello: &IsupHello) -> String {
    let protocol = if hello.is_ehome2 { "EHome 2" } else { "ISUP" };
    let named = [
        ("device ID", &hello.device_id),
        ("serial", &hello.serial),
        ("model", &hello.model),
    ];
    let named: String = named
        .into_iter()
        .filter_map(|(what, name)| name.as_ref().map(|name| format!(", {what} {name}")))
        .collect();
    format!(
        "a device speaks {protocol}{named}; this protocol is not public and not served. Set HTTP listening in the device instead: satellite devices add --vendor hikvision --listen prints the settings"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A login as it was seen of one device.
    fn login() -> Vec<u8> {
        let mut body = vec![1, 1, 0];
        for text in ["AB1234567", "DS-K1T343EWX"] {
            body.push(u8::try_from(text.len()).unwrap());
            body.extend_from_slice(text.as_bytes());
        }
        body.extend_from_slice(&[0x29, 0x25, 5]);
        body.extend_from_slice(b"gate7");
        let mut hello = vec![0x10, u8::try_from(body.len()).unwrap()];
        hello.extend(body);
        hello
    }

    #[tokio::test]
    async fn a_hello_in_pieces_is_recognised_and_told_with_what_to_change() {
        let (ours, mut theirs) = tokio::io::duplex(7);
        let heard = tokio::spawn(greeting(ours));
        tokio::io::AsyncWriteExt::write_all(&mut theirs, &login())
            .await
            .unwrap();
        // The device goes on waiting for an answer; the hello alone must do.
        let hello = heard.await.unwrap().unwrap();
        let told = told(&hello);
        for part in ["gate7", "AB1234567", "DS-K1T343EWX", "HTTP listening"] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }

    #[tokio::test]
    async fn a_stranger_who_never_stops_is_read_up_to_the_limit_only() {
        let endless = tokio::io::repeat(0x10);
        assert_eq!(greeting(endless).await, None);
        assert_eq!(greeting(&b"GET / HTTP/1.1\r\n\r\n"[..]).await, None);
    }
}
