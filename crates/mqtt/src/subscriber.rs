//! A session that a broker keeps: messages come in, and are acknowledged when somebody says so.
//!
//! The session outlives connections (`clean session` off, the same client's name), so that what was
//! not acknowledged comes again, after whatever has ended. A task of its own drives the connection;
//! what it has read and nobody has settled is bounded in bytes, and beyond that nothing more is
//! read. An acknowledgement that leaves before [`Subscriber::acknowledge`] must never happen.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rumqttc::{
    AckMode, AsyncClient, Event, EventLoop, ManualAck, Packet, PubAck, Publish, QoS,
    SubscribeFilter, SubscribeReasonCode,
};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::line::{Ended, Failed, Options, Stream, failed, greeted, set_up};
use crate::sieve::{LIMIT, Sieve};

/// Bytes of messages that may wait to be settled.
const WAITING: usize = 4 * 1024 * 1024;
/// What a message counts besides its bytes, so that very many short ones are few enough.
const EACH: usize = 1024;
/// Packets that the library reads at once, each of them bounded by [`LIMIT`].
const READ_AT_ONCE: usize = 64;
/// Places for what waits on its way, more than messages can be: their room is what bounds them.
const ACKNOWLEDGEMENTS: usize = 2 * WAITING / EACH;

/// A message that came.
#[derive(Debug)]
pub struct Delivery {
    /// Its topic.
    pub topic: String,
    /// What it says; of one that is cut the beginning.
    pub payload: Bytes,
    /// The broker had kept it for whoever subscribes.
    pub is_retained: bool,
    /// It was longer than 128 KiB with its topic; the rest was not kept.
    pub is_cut: bool,
    /// Its number, where the broker brings it again until it is acknowledged (QoS 1).
    number: Option<u16>,
    /// Its part of what may wait.
    _room: OwnedSemaphorePermit,
}

impl Delivery {
    /// True when the broker brings it again until it is acknowledged; false for a message that was
    /// published with QoS 0, which comes once or never.
    #[must_use]
    pub fn comes_again(&self) -> bool {
        self.number.is_some()
    }
}

/// A connection with a session that stays.
pub struct Subscriber {
    client: AsyncClient,
    drive: JoinHandle<()>,
    ended: Ended,
    /// Messages, and `None` when the subscriptions stand.
    come: Receiver<Option<Delivery>>,
}

impl Subscriber {
    /// Introduces itself over a stream, waits for the broker's yes and asks for these topics, all of
    /// them with QoS 1. That the broker agrees comes with [`Subscriber::next`].
    ///
    /// # Errors
    /// [`Failed`], never later than `within`.
    pub async fn open(
        stream: Box<dyn Stream>,
        options: &Options,
        topics: &[String],
        within: Duration,
    ) -> Result<Self, Failed> {
        let mut own = set_up(Box::new(Sieve::over(stream)), options);
        own.set_max_packet_size(LIMIT, LIMIT)
            .set_clean_session(false)
            .set_ack_mode(AckMode::Manual)
            .set_read_batch_size(READ_AT_ONCE);
        let (client, mut events) = AsyncClient::builder(own)
            .capacity(ACKNOWLEDGEMENTS)
            .try_build()
            .map_err(|error| Failed::Broken(error.to_string()))?;
        let greeted = tokio::time::timeout(within, greeted(&mut events)).await;
        greeted.unwrap_or(Err(Failed::Late(within)))?;
        let wanted = topics.iter().cloned();
        let wanted = wanted.map(|topic| SubscribeFilter::new(topic, QoS::AtLeastOnce));
        let asked = client.try_subscribe_many(wanted);
        asked.map_err(|error| Failed::Broken(error.to_string()))?;
        let ended = Ended::default();
        let (sender, come) = channel(ACKNOWLEDGEMENTS);
        let drive = tokio::spawn(drive(events, sender, Arc::clone(&ended)));
        Ok(Self {
            client,
            drive,
            ended,
            come,
        })
    }

    /// What has come meanwhile, in its order, at most so many messages; waits for the first. Without
    /// a message when the broker has agreed to the subscriptions.
    ///
    /// # Errors
    /// [`Failed`]: the connection is of no more use, and what was not acknowledged comes again over
    /// the next one.
    pub async fn next(&mut self, most: usize) -> Result<Vec<Delivery>, Failed> {
        let mut come = Vec::new();
        if self.come.recv_many(&mut come, most).await == 0 {
            return Err(self.why("the connection is gone"));
        }
        Ok(come.into_iter().flatten().collect())
    }

    /// Tells the broker that a message is settled and need not come again.
    ///
    /// # Errors
    /// [`Failed`]: it comes again.
    pub fn acknowledge(&self, delivery: &Delivery) -> Result<(), Failed> {
        let Some(number) = delivery.number else {
            return Ok(());
        };
        let ack = ManualAck::PubAck(PubAck::new(number));
        let sent = self.client.try_manual_ack(ack);
        sent.map_err(|error| self.why(&error.to_string()))
    }

    fn why(&self, own: &str) -> Failed {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended
            .clone()
            .unwrap_or_else(|| Failed::Broken(own.to_owned()))
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.drive.abort();
    }
}

async fn drive(
    mut events: EventLoop,
    sender: Sender<Option<Delivery>>,
    ended: Arc<Mutex<Option<Failed>>>,
) {
    let room = Arc::new(Semaphore::new(WAITING));
    let why = loop {
        let sent = match events.poll().await {
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let Some(delivery) = delivery(publish, &room).await else {
                    break Failed::Broken("no room".to_owned());
                };
                sender.send(Some(delivery)).await
            }
            Ok(Event::Incoming(Packet::SubAck(answer))) => {
                if answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                    break Failed::Subscription;
                }
                sender.send(None).await
            }
            Ok(_) => Ok(()),
            Err(error) => break failed(&error),
        };
        if sent.is_err() {
            return;
        }
    };
    *ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
}

/// A message with its part of what may wait, when there is room for it.
async fn delivery(publish: Publish, room: &Arc<Semaphore>) -> Option<Delivery> {
    let is_certain = publish.qos != QoS::AtMostOnce;
    let length = 2 + publish.topic.len() + publish.payload.len() + if is_certain { 2 } else { 0 };
    let counts = u32::try_from(length + EACH).unwrap_or(u32::MAX);
    let room = Arc::clone(room).acquire_many_owned(counts).await.ok()?;
    Some(Delivery {
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        // A copy, so that a short message does not hold the buffer that it came in.
        payload: Bytes::copy_from_slice(&publish.payload),
        is_retained: publish.retain,
        is_cut: length >= LIMIT,
        number: is_certain.then_some(publish.pkid),
        _room: room,
    })
}
