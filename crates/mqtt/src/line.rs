//! What both directions share: the stream, how to introduce oneself, and how a connection ends.
//!
//! The library would connect again by itself; here its first error is its last, because only whoever
//! has the messages can say what has to happen next.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rumqttc::{Broker, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Packet, QoS};
use tokio::io::{AsyncRead, AsyncWrite};

/// Seconds between two signs of life.
const KEEP_ALIVE: u16 = 30;

/// Why a connection ended, once it has.
pub(crate) type Ended = Arc<Mutex<Option<Failed>>>;

/// What a connection runs over: TCP, or TLS over it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// How to introduce oneself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The client's name; a broker ends the connection of another one with the same.
    pub client_id: String,
    /// User and password.
    pub login: Option<(String, String)>,
    /// What the broker says, retained, when this client vanishes: topic and payload.
    pub will: Option<(String, String)>,
}

/// Why a connection cannot be had, or is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The broker does not let us in: the login, the name, the protocol.
    #[error("the broker refuses the connection: {0}")]
    Refused(String),
    /// The connection is gone, or what came is not MQTT.
    #[error("the connection to the broker broke: {0}")]
    Broken(String),
    /// The broker does not let us listen to a topic.
    #[error("the broker refuses a subscription")]
    Subscription,
    /// No answer within so many seconds.
    #[error("no answer of the broker within {} s", .0.as_secs())]
    Late(Duration),
}

pub(crate) fn set_up(stream: Box<dyn Stream>, options: &Options) -> MqttOptions {
    // The address is nobody's: the stream stands already.
    let mut own = MqttOptions::new(options.client_id.clone(), Broker::tcp("broker", 1883));
    own.set_keep_alive(KEEP_ALIVE).set_max_request_batch(64);
    if let Some((user, password)) = &options.login {
        own.set_credentials(user.clone(), Bytes::from(password.clone()));
    }
    if let Some((topic, payload)) = &options.will {
        let payload = payload.clone().into_bytes();
        own.set_last_will(LastWill::new(topic, payload, QoS::AtLeastOnce, true));
    }
    let once = Mutex::new(Some(stream));
    own.set_socket_connector(move |_, _| {
        let stream = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        let spent = || io::Error::other("the connection is spent");
        std::future::ready(stream.ok_or_else(spent))
    });
    own
}

pub(crate) async fn greeted(events: &mut EventLoop) -> Result<(), Failed> {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
}

pub(crate) fn failed(error: &ConnectionError) -> Failed {
    match error {
        ConnectionError::ConnectionRefused(code) => Failed::Refused(format!("{code:?}")),
        other => Failed::Broken(other.to_string()),
    }
}
