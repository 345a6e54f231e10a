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

/// A connection that takes messages. Unless it takes its leave, the broker says the will when it ends.
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

    /// Publishes all of them, in their order, and waits until the broker has acknowledged each: for
    /// as long as it acknowledges one within `within`, so that a slow broker, which would be slower
    /// still if it got all of them again, gets to the end of them.
    ///
    /// # Errors
    /// [`Failed`]: any of them may have arrived, and the connection is of no more use.
    pub async fn publish(&self, messages: Vec<Message>, within: Duration) -> Result<(), Failed> {
        let mut notices = Vec::with_capacity(messages.len());
        for message in messages {
            let options = PublishOptions::new(QoS::AtLeastOnce).retain(message.retained);
            let (topic, payload) = (message.topic, message.payload);
            let sent = self.client.publish_tracked(topic, payload, options);
            notices.push(self.in_time(sent, within).await?);
        }
        for notice in notices {
            let done = notice.wait_completion_async();
            self.in_time(done, within).await?;
        }
        Ok(())
    }

    /// Takes its leave, so that the broker does not take this for a client that vanished.
    ///
    /// # Errors
    /// [`Failed`]: it is gone all the same.
    pub async fn leave(mut self, within: Duration) -> Result<(), Failed> {
        self.in_time(self.client.disconnect(), within).await?;
        let done = tokio::time::timeout(within, &mut self.drive).await;
        done.map(drop).map_err(|_| Failed::Late(within))
    }

    async fn in_time<T, E: std::fmt::Display>(
        &self,
        step: impl Future<Output = Result<T, E>>,
        within: Duration,
    ) -> Result<T, Failed> {
        let done = tokio::time::timeout(within, step).await;
        let done = done.map_err(|_| Failed::Late(within))?;
        done.map_err(|error| self.why(&error.to_string()))
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    /// The kind and the body of the next packet; those here are shorter than 128 bytes.
    async fn packet(from: &mut DuplexStream) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        from.read_exact(&mut head).await.unwrap();
        let mut body = vec![0; usize::from(head[1])];
        from.read_exact(&mut body).await.unwrap();
        (head[0] >> 4, body)
    }

    /// A broker that needs so long for each message.
    async fn slow(mut near: DuplexStream, each: Duration) {
        assert_eq!(packet(&mut near).await.0, 1);
        near.write_all(&[0x20, 2, 0, 0]).await.unwrap();
        loop {
            let (kind, body) = packet(&mut near).await;
            assert_eq!(kind, 3);
            tokio::time::sleep(each).await;
            let at = 2 + usize::from(body[1]);
            let answer = [0x40, 2, body[at], body[at + 1]];
            if near.write_all(&answer).await.is_err() {
                return;
            }
        }
    }

    async fn published(each: Duration, within: Duration) -> Result<(), Failed> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let broker = tokio::spawn(slow(near, each));
        let options = Options {
            client_id: "test".to_owned(),
            login: None,
            will: None,
        };
        let opened = Publisher::open(Box::new(far), &options, within).await;
        let message = Message {
            topic: "board".to_owned(),
            payload: Bytes::from_static(b"punch"),
            retained: false,
        };
        let done = opened.unwrap().publish(vec![message; 12], within).await;
        broker.abort();
        done
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_broker_is_waited_for_while_it_acknowledges_and_a_silent_one_is_not() {
        let within = Duration::from_secs(5);
        assert_eq!(published(Duration::from_secs(2), within).await, Ok(()));
        let silent = published(Duration::from_secs(6), within).await;
        assert_eq!(silent, Err(Failed::Late(within)));
    }
}
