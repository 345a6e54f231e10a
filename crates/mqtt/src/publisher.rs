//! One connection to a broker, from CONNECT to its end.
//!
//! A task of its own drives it, so that pings go out while nobody publishes. The library would
//! connect again by itself; here its first error is its last, because only whoever has the
//! messages can say which of them go out again, and in which order.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rumqttc::{
    AsyncClient, Broker, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Packet,
    PublishOptions, QoS,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

/// Largest packet that a broker may send us, in bytes: it has nothing to say but acknowledgements.
const INCOMING: usize = 64 * 1024;
/// Largest packet that is sent, in bytes; an event is far below it.
const OUTGOING: usize = 1024 * 1024;
/// Seconds between two signs of life.
const KEEP_ALIVE: u16 = 30;
/// Messages on their way at the same time.
const IN_FLIGHT: u16 = 1_000;

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

/// One message, sent with QoS 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: String,
    /// What it says.
    pub payload: Bytes,
    /// The broker keeps it for whoever subscribes later.
    pub retained: bool,
}

/// Why messages may not have arrived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The broker does not let us in: the login, the name, the protocol.
    #[error("the broker refuses the connection: {0}")]
    Refused(String),
    /// The connection is gone, or what came is not MQTT.
    #[error("the connection to the broker broke: {0}")]
    Broken(String),
    /// No answer within so many seconds.
    #[error("no answer of the broker within {} s", .0.as_secs())]
    Late(Duration),
}

/// A connection that takes messages. It takes no leave: when it ends, the broker says the will.
pub struct Publisher {
    client: AsyncClient,
    drive: JoinHandle<()>,
    /// Why it ended, once it has.
    ended: Arc<Mutex<Option<Failed>>>,
}

impl Publisher {
    /// Introduces itself over a stream and waits for the broker's yes.
    ///
    /// # Errors
    /// [`Failed`], never later than `within`.
    pub async fn open(
        stream: Box<dyn Stream>,
        options: &Options,
        within: Duration,
    ) -> Result<Self, Failed> {
        let (client, mut events) = AsyncClient::builder(set_up(stream, options))
            .capacity(usize::from(IN_FLIGHT))
            .try_build()
            .map_err(|error| Failed::Broken(error.to_string()))?;
        let greeted = tokio::time::timeout(within, greeted(&mut events)).await;
        greeted.unwrap_or(Err(Failed::Late(within)))?;
        let ended = Arc::<Mutex<Option<Failed>>>::default();
        let drive = tokio::spawn(drive(events, Arc::clone(&ended)));
        Ok(Self {
            client,
            drive,
            ended,
        })
    }

    /// Publishes all of them, in their order, and waits until the broker has acknowledged each.
    ///
    /// # Errors
    /// [`Failed`]: any of them may have arrived, and the connection is of no more use.
    pub async fn publish(&self, messages: Vec<Message>, within: Duration) -> Result<(), Failed> {
        let all = async {
            let mut notices = Vec::with_capacity(messages.len());
            for message in messages {
                let options = PublishOptions::new(QoS::AtLeastOnce).retain(message.retained);
                let sent = self
                    .client
                    .publish_tracked(message.topic, message.payload, options)
                    .await;
                notices.push(sent.map_err(|error| self.why(&error.to_string()))?);
            }
            for notice in notices {
                let done = notice.wait_completion_async().await;
                done.map_err(|error| self.why(&error.to_string()))?;
            }
            Ok(())
        };
        let done = tokio::time::timeout(within, all).await;
        done.unwrap_or(Err(Failed::Late(within)))
    }

    /// True when it is of no more use.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.drive.is_finished()
    }

    /// What ended the connection, which says more than what it did to a message.
    fn why(&self, of_message: &str) -> Failed {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let own = || Failed::Broken(of_message.to_owned());
        ended.clone().unwrap_or_else(own)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.drive.abort();
    }
}

fn set_up(stream: Box<dyn Stream>, options: &Options) -> MqttOptions {
    // The address is nobody's: the stream stands already.
    let mut own = MqttOptions::new(options.client_id.clone(), Broker::tcp("broker", 1883));
    own.set_keep_alive(KEEP_ALIVE)
        .set_max_packet_size(INCOMING, OUTGOING)
        .set_inflight(IN_FLIGHT)
        .set_max_request_batch(64);
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

async fn greeted(events: &mut EventLoop) -> Result<(), Failed> {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
}

async fn drive(mut events: EventLoop, ended: Arc<Mutex<Option<Failed>>>) {
    loop {
        if let Err(error) = events.poll().await {
            *ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(failed(&error));
            return;
        }
    }
}

fn failed(error: &ConnectionError) -> Failed {
    match error {
        ConnectionError::ConnectionRefused(code) => Failed::Refused(format!("{code:?}")),
        other => Failed::Broken(other.to_string()),
    }
}
