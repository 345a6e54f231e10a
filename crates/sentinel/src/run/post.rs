//! The ways out: one pump over the letters in the file, and one over those that only memory
//! could keep.
//!
//! When the own disk is full, a letter that is in memory only is better than none: it is lost
//! with the process, but then the incident was not written either and is told anew.

use std::path::Path;
use std::sync::Arc;

use notify::{CapRule, Figures, Letter, Outbox, Pump, Relay, Sender, SmtpRelay, Ways, Webhook};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::kind::Kind;

/// How many mails one person gets. Of all that is wrong with the mail path only this is no
/// critical letter already: who waits for ten minutes to hear that the first relay is broken may
/// lose the second meanwhile, and then nobody hears anything.
pub const CAPS: CapRule = CapRule {
    pass: &[Kind::RelayFailing.as_str()],
    ..CapRule::USUAL
};

struct Running {
    pump: Pump,
    end: CancellationToken,
    task: JoinHandle<()>,
}

/// See the head of this module.
pub(super) struct Post {
    file: Option<Running>,
    memory: Running,
    ways: Ways,
}

/// How letters leave, by the configuration.
///
/// # Errors
/// A relay, a webhook or the sender cannot be used; what passed the configuration's checks can.
pub fn ways(config: &Config) -> anyhow::Result<Ways> {
    let nobody = "sentinel@localhost.invalid";
    let from = config
        .mail
        .as_ref()
        .map_or(nobody, |mail| mail.from.as_str());
    let mut relays: Vec<Arc<dyn Relay>> = Vec::new();
    for relay in config.mail.iter().flat_map(|mail| &mail.relays) {
        let mut smtp = SmtpRelay::new(&relay.url)?;
        if let Some((user, password)) = &relay.login {
            smtp = smtp.login(user, password.clone());
        }
        if let Some(pem) = &relay.authorities {
            smtp = smtp.trust(pem)?;
        }
        relays.push(Arc::new(smtp));
    }
    let hook = |hook: &crate::config::Webhook| {
        Webhook::new(&hook.name, hook.url.expose(), hook.key.clone()).map(Arc::new)
    };
    Ok(Ways {
        from: Sender::new(from, &config.name)?,
        relays,
        webhooks: config.webhooks.iter().map(hook).collect::<Result<_, _>>()?,
    })
}

async fn start(outbox: Outbox, ways: Ways) -> anyhow::Result<Running> {
    let pump = Pump::new(outbox, ways, CAPS).await?;
    let end = CancellationToken::new();
    let (its, token) = (pump.clone(), end.clone());
    let task = tokio::spawn(async move { its.run(token).await });
    Ok(Running { pump, end, task })
}

impl Post {
    /// Opens memory; the file is opened with [`Post::open_file`].
    pub(super) async fn new(config: &Config) -> anyhow::Result<Self> {
        let ways = ways(config)?;
        let memory = start(Outbox::in_memory().await?, ways.clone()).await?;
        Ok(Self {
            file: None,
            memory,
            ways,
        })
    }

    /// Delivers what is in the file, from now on.
    pub(super) async fn open_file(&mut self, path: &Path) -> anyhow::Result<()> {
        if self.file.is_none() {
            let outbox = Outbox::open(path).await?;
            self.file = Some(start(outbox, self.ways.clone()).await?);
        }
        Ok(())
    }

    /// Tells the pump that something was queued in the file.
    pub(super) fn wake(&self) {
        if let Some(file) = &self.file {
            file.pump.outbox().wake();
        }
    }

    /// Keeps letters in memory.
    pub(super) async fn remember(
        &self,
        letters: &[Letter],
        now: jiff::Timestamp,
    ) -> Result<(), notify::Error> {
        self.memory.pump.outbox().queue_all(letters, now).await
    }

    /// The names of the relays.
    pub(super) fn relays(&self) -> Vec<String> {
        let relays = self.ways.relays.iter();
        relays.map(|relay| relay.name().to_owned()).collect()
    }

    /// The numbers of both.
    pub(super) async fn figures(&self) -> Figures {
        let mut sum = self.memory.pump.figures().await.unwrap_or_default();
        let Some(file) = &self.file else {
            return sum;
        };
        if let Ok(its) = file.pump.figures().await {
            sum.waiting += its.waiting;
            sum.oldest = sum.oldest.max(its.oldest);
            sum.stuck = sum.stuck.max(its.stuck);
            sum.sent += its.sent;
            sum.failed += its.failed;
            sum.last_sent_at = sum.last_sent_at.max(its.last_sent_at);
            if !its.failing_relays.is_empty() || sum.failing_relays.is_empty() {
                sum.failing_relays = its.failing_relays;
            }
        }
        sum
    }

    /// Other ways from now on; letters in memory go with them.
    pub(super) async fn change_ways(&mut self, config: &Config) -> anyhow::Result<()> {
        self.ways = ways(config)?;
        self.memory.end.cancel();
        let outbox = self.memory.pump.outbox().clone();
        self.memory = start(outbox, self.ways.clone()).await?;
        if let Some(file) = self.file.take() {
            file.end.cancel();
            // One pump at a time works on the file.
            file.task.await.ok();
            let outbox = file.pump.outbox().clone();
            self.file = Some(start(outbox, self.ways.clone()).await?);
        }
        Ok(())
    }

    /// Ends both; letters in flight have a few seconds.
    pub(super) async fn stop(self) {
        let file = self.file.into_iter();
        for running in file.chain([self.memory]) {
            running.end.cancel();
            running.task.await.ok();
        }
    }
}
