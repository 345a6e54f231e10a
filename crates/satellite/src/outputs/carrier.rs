//! The way to one output's receiver: rows in, what it said out.
//!
//! What a way keeps between two deliveries (a connection, what it has found out about its receiver)
//! lives here and may be lost at any moment. A carrier knows no cursor and judges no pause; that it
//! says [`Verdict::Taken`] before its receiver has every row must never happen.

use store::feed::FeedRow;

use super::course::Verdict;
use super::edge::Wish;
use super::{edge, folder, forward, mqtt, table, webhook};
use crate::config::{Output, Receiver};
use crate::hub::Hub;

/// Carries rows to one receiver.
pub(super) struct Carrier {
    output: Output,
    /// The table was found to be as it must be.
    is_known: bool,
    /// The connection to a broker.
    line: mqtt::Line,
    /// What is remembered of the satellite that this one is an edge of.
    link: edge::Link,
    /// What is remembered of the folder.
    tray: folder::Tray,
}

impl Carrier {
    pub(super) fn new(output: Output) -> Self {
        Self {
            output,
            is_known: false,
            line: mqtt::Line::default(),
            link: edge::Link::default(),
            tray: folder::Tray::default(),
        }
    }

    /// While there is nothing to deliver: what a receiver is told besides. `from` and `to` are
    /// where the cursor stands and up to where the feed was looked at.
    pub(super) async fn idle(&mut self, hub: &Hub, (from, to): (i64, i64)) -> Wish {
        match &self.output.to {
            Receiver::Mqtt(broker) => {
                mqtt::states(broker, &self.output, hub, &mut self.line).await;
                Wish::None
            }
            Receiver::Edge(cloud) => {
                edge::tell(&mut self.link, (cloud, &self.output), hub, (from, to)).await
            }
            Receiver::Folder(daily) => {
                folder::make(&mut self.tray, (daily, &self.output), hub).await
            }
            Receiver::Webhook(_) | Receiver::Table(_) | Receiver::Forward(_) => Wish::None,
        }
    }

    /// It has everything, and what it makes of it fails.
    pub(super) fn stands(&self) -> bool {
        self.tray.is_failing()
    }

    /// Whether the receiver hears anything of a row.
    pub(super) fn tells(&self, row: &FeedRow) -> bool {
        !matches!(self.output.to, Receiver::Forward(_)) || forward::is_told(row)
    }

    /// Hands the rows over once: all that this output gets above `from` and up to `to`. Dropped in
    /// the middle, it may have handed over any of them.
    pub(super) async fn deliver(
        &mut self,
        hub: &Hub,
        rows: &[FeedRow],
        (from, to): (i64, i64),
    ) -> Verdict {
        match &self.output.to {
            Receiver::Webhook(hook) => webhook::post(hook, &self.output, rows).await,
            Receiver::Mqtt(broker) => mqtt::publish(broker, rows, &mut self.line).await,
            Receiver::Table(table) => table::write(table, rows, &mut self.is_known).await,
            Receiver::Forward(old) => forward::post(old, rows).await,
            Receiver::Folder(daily) => {
                folder::deliver(&mut self.tray, (daily, &self.output), hub, rows).await
            }
            Receiver::Edge(cloud) => {
                let whither = (cloud, &self.output);
                edge::deliver(&mut self.link, whither, hub, (rows, from, to)).await
            }
        }
    }
}
