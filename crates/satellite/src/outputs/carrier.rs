//! The way to one output's receiver: rows in, what it said out.
//!
//! What a way keeps between two deliveries (a connection, what it has found out about its receiver)
//! lives here and may be lost at any moment. A carrier knows no cursor and judges no pause; that it
//! says [`Verdict::Taken`] before its receiver has every row must never happen.

use store::feed::FeedRow;

use super::course::Verdict;
use super::{forward, mqtt, table, webhook};
use crate::config::{Output, Receiver};
use crate::hub::Hub;

/// Carries rows to one receiver.
pub(super) struct Carrier {
    output: Output,
    /// The table was found to be as it must be.
    is_known: bool,
    /// The connection to a broker.
    line: mqtt::Line,
}

impl Carrier {
    pub(super) fn new(output: Output) -> Self {
        Self {
            output,
            is_known: false,
            line: mqtt::Line::default(),
        }
    }

    /// While there is nothing to deliver: what a receiver is told besides.
    pub(super) async fn idle(&mut self, hub: &Hub) {
        if let Receiver::Mqtt(broker) = &self.output.to {
            mqtt::states(broker, &self.output, hub, &mut self.line).await;
        }
    }

    /// Whether the receiver hears anything of a row.
    pub(super) fn tells(&self, row: &FeedRow) -> bool {
        !matches!(self.output.to, Receiver::Forward(_)) || forward::is_told(row)
    }

    /// Hands the rows over once. Dropped in the middle, it may have handed over any of them.
    pub(super) async fn deliver(&mut self, rows: &[FeedRow]) -> Verdict {
        match &self.output.to {
            Receiver::Webhook(hook) => webhook::post(hook, &self.output, rows).await,
            Receiver::Mqtt(broker) => mqtt::publish(broker, rows, &mut self.line).await,
            Receiver::Table(table) => table::write(table, rows, &mut self.is_known).await,
            Receiver::Forward(old) => forward::post(old, rows).await,
        }
    }
}
