//! One connection to a broker, from CONNECT to its end.
//!
//! A task of its own drives it, so that pings go out while nobody publishes. The library would
//! connect again by itself; here its first error is its last, because only whoever has the
//! messages can say which of them go out again, and in which order.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rumqttc::{AsyncClient, EventLoop, PublishOptions, QoS};
use tokio::task::JoinHandle;

use crate::line::{Ended, Failed, Options, Stream, failed, greeted, set_up};

/// Largest packet that a broker may send us, in bytes: it has nothing to say but acknowledgements.
const INCOMING: usize = 64 * 1024;
/// Largest packet that is sent, in bytes; an event is far below it.
const OUTGOING: usize = 1024 * 1024;
/// Messages on their way at the same time.
const IN_FLIGHT: u16 = 1_000;

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

/// A connection that takes messages. It takes no leave: when it ends, the broker says the will.
pub struct Publisher {
    client: AsyncClient,
    drive: JoinHandle<()>,
    /// Why it ended, once it has.
    ended: Ended,
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
        let mut own = set_up(stream, options);
        own.set_max_packet_size(INCOMING, OUTGOING)
            .set_inflight(IN_FLIGHT);
        let (client, mut events) = AsyncClient::builder(own)
            .capacity(usize::from(IN_FLIGHT))
            .try_build()
            .map_err(|error| Failed::Broken(error.to_string()))?;
        let greeted = tokio::time::timeout(within, greeted(&mut events)).await;
        greeted.unwrap_or(Err(Failed::Late(within)))?;
        let ended = Ended::default();
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

async fn drive(mut events: EventLoop, ended: Ended) {
    loop {
        if let Err(error) = events.poll().await {
            *ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(failed(&error));
            return;
        }
    }
}
