//! The mail path, watched like everything else: would each relay take a letter of ours?
//!
//! What the outbox knows (how old its oldest letter is, which were given up) belongs to the
//! process that owns it and is told by it. Here the relays are asked without a letter: connection,
//! greeting, EHLO, TLS where it is in use, and the sender, so that a relay that broke at night is
//! known before the letter that needs it. Where a password is wanted first, it and the sender are
//! tried more seldom, because providers count logins, and each time while the relay fails. Whether a
//! letter really arrives is another look's question (`round_trip`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use notify::{Relay as _, Sender, SmtpRelay};

use crate::config::Mail;
use crate::{Fact, Kind, Look, Observation, Round, Severity, Subject, Trouble, Value};

/// From round to round: a relay that breaks is asked three times and told within 90 s, also when it
/// hangs.
const EVERY: Duration = Duration::from_secs(20);
/// Every so many rounds a password is tried: every two minutes.
const LOGIN_EVERY: u32 = 6;
/// For each relay.
const ASK_WITHIN: Duration = Duration::from_secs(15);

/// The look at all relays.
pub struct Relays {
    relays: Vec<Arc<Asked>>,
}

struct Asked {
    relay: SmtpRelay,
    from: Sender,
    logs_in: bool,
    /// Rounds that went well since the last login was due.
    rounds: AtomicU32,
}

impl Asked {
    async fn ask(&self) -> Result<(), notify::Failed> {
        let rounds = self.rounds.load(Ordering::Relaxed);
        let asked = if self.logs_in && rounds != 0 {
            self.relay.greets().await
        } else {
            self.relay.would_take(self.from.address()).await
        };
        let next = match asked {
            Ok(()) => (rounds + 1) % LOGIN_EVERY,
            Err(_) => 0,
        };
        self.rounds.store(next, Ordering::Relaxed);
        asked
    }

    fn name(&self) -> &str {
        self.relay.name()
    }
}

impl Relays {
    /// A look at these relays.
    ///
    /// # Errors
    /// A relay's address or authorities, or the sender, cannot be used, which the configuration's
    /// check rules out.
    pub fn new(mail: &Mail) -> Result<Self, notify::Error> {
        let from = Sender::new(&mail.from, "")?;
        let mut relays = Vec::with_capacity(mail.relays.len());
        for relay in &mail.relays {
            let mut smtp = SmtpRelay::new(&relay.url)?.deadline(ASK_WITHIN);
            if let Some((user, password)) = &relay.login {
                smtp = smtp.login(user, password.clone());
            }
            if let Some(pem) = &relay.authorities {
                smtp = smtp.trust(pem)?;
            }
            relays.push(Arc::new(Asked {
                relay: smtp,
                from: from.clone(),
                logs_in: relay.login.is_some(),
                rounds: AtomicU32::new(0),
            }));
        }
        Ok(Self { relays })
    }
}

/// What is wrong with a relay that fails with these words, whoever met it.
pub(crate) fn failing(relay: &str, words: Value) -> Trouble {
    Trouble::new(Kind::RelayFailing)
        .fact(Fact::Place, Value::heard(relay))
        .fact(Fact::Detail, words)
}

#[async_trait]
impl Look for Relays {
    fn name(&self) -> &str {
        "relays"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn deadline(&self) -> Duration {
        ASK_WITHIN + Duration::from_secs(4)
    }

    fn subjects(&self) -> Vec<Subject> {
        let each = self.relays.iter().map(|asked| Subject::relay(asked.name()));
        [Subject::Mail { relay: None }]
            .into_iter()
            .chain(each)
            .collect()
    }

    async fn look(&self, now: Timestamp) -> Round {
        let mut asking = tokio::task::JoinSet::new();
        for asked in &self.relays {
            let asked = Arc::clone(asked);
            asking.spawn(async move {
                let began = Instant::now();
                let greeted = asked.ask().await;
                (asked, greeted, began.elapsed())
            });
        }
        let (mut seen, mut silent, mut last) = (Vec::new(), 0, Value::heard(""));
        while let Some(done) = asking.join_next().await {
            let Ok((asked, greeted, took)) = done else {
                continue;
            };
            let subject = Subject::relay(asked.name());
            seen.push(match greeted {
                Ok(()) => {
                    Observation::fine(subject, now).number("took_seconds", took.as_secs_f64())
                }
                Err(failed) => {
                    silent += 1;
                    last = Value::heard(&failed.words);
                    let trouble = failing(asked.name(), last.clone());
                    Observation::wrong(subject, now, vec![trouble])
                }
            });
        }
        let down = silent > 0 && silent == self.relays.len();
        let trouble = down.then(|| {
            Trouble::new(Kind::MailDown)
                .severity(Severity::Critical)
                .fact(
                    Fact::Count,
                    Value::Count(i64::try_from(silent).unwrap_or(i64::MAX)),
                )
                .fact(Fact::Detail, last)
        });
        let whole = Subject::Mail { relay: None };
        seen.push(Observation::wrong(
            whole,
            now,
            trouble.into_iter().collect(),
        ));
        // One that was taken out of the configuration fails nobody any more.
        if seen.len() > self.relays.len() {
            Round::whole(seen)
        } else {
            Round::part(seen)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Finding;
    use crate::config::Relay;
    use daemon::config::Secret;
    use std::sync::atomic::AtomicBool;
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    /// A server that greets and answers senders so.
    async fn server(greeting: &'static str, to_sender: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (reader, mut writer) = stream.into_split();
                let mut lines = BufReader::new(reader).lines();
                writer.write_all(greeting.as_bytes()).await.ok();
                while let Ok(Some(line)) = lines.next_line().await {
                    let answer = match line.split([' ', ':']).next().unwrap() {
                        "QUIT" => "221 bye\r\n",
                        "MAIL" => to_sender,
                        _ => "250 fine\r\n",
                    };
                    writer.write_all(answer.as_bytes()).await.ok();
                }
            }
        });
        url
    }

    /// A server that takes no sender without a password and is content with it or not; it counts
    /// logins.
    async fn with_password(good: Arc<AtomicBool>, logins: Arc<AtomicU32>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (reader, mut writer) = stream.into_split();
                let mut lines = BufReader::new(reader).lines();
                let mut is_in = false;
                writer.write_all(b"220 mx\r\n").await.ok();
                while let Ok(Some(line)) = lines.next_line().await {
                    let answer = match line.split([' ', ':']).next().unwrap() {
                        "EHLO" => "250-mx\r\n250 AUTH PLAIN LOGIN\r\n",
                        "AUTH" => {
                            logins.fetch_add(1, Ordering::SeqCst);
                            is_in = good.load(Ordering::SeqCst);
                            match is_in {
                                true => "235 welcome\r\n",
                                false => "535 no\r\n",
                            }
                        }
                        "MAIL" if is_in => "250 fine\r\n",
                        "MAIL" => "530 who are you\r\n",
                        _ => "221 bye\r\n",
                    };
                    writer.write_all(answer.as_bytes()).await.ok();
                }
            }
        });
        url
    }

    #[tokio::test]
    async fn a_password_is_tried_every_two_minutes_and_each_time_while_it_fails() {
        let (good, logins) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let url = with_password(Arc::clone(&good), Arc::clone(&logins)).await;
        let relay = Relay {
            url,
            login: Some(("s".to_owned(), Secret::new("p".to_owned()))),
            authorities: None,
        };
        let look = Relays::new(&Mail {
            from: "a@x.mx".to_owned(),
            relays: vec![relay],
            round_trip: None,
        });
        let look = look.unwrap();
        let mut failed = Vec::new();
        for round in 0..12 {
            good.store(round < 4, Ordering::SeqCst);
            let seen = look.look(Timestamp::now()).await;
            failed.push(seen.observations[0].finding != Finding::Fine);
        }
        // The one of the first round, and from the seventh on, which is the next, all.
        assert_eq!(failed, [[false; 6], [true; 6]].concat());
        assert_eq!(logins.load(Ordering::SeqCst), 7);
    }

    async fn seen(urls: &[&str]) -> Vec<(String, Option<Kind>)> {
        let relays = urls.iter().map(|url| Relay {
            url: (*url).to_owned(),
            login: None,
            authorities: None,
        });
        let mail = Mail {
            from: "a@x.mx".to_owned(),
            relays: relays.collect(),
            round_trip: None,
        };
        let round = Relays::new(&mail).unwrap().look(Timestamp::now()).await;
        let kind = |it: &Observation| match &it.finding {
            Finding::Wrong { troubles } => Some(troubles[0].kind),
            _ => None,
        };
        let each = round.observations.iter();
        each.map(|it| (it.subject.to_string(), kind(it))).collect()
    }

    #[tokio::test]
    async fn a_relay_that_takes_senders_is_fine_one_that_does_not_fails_and_without_any_mail_is_down()
     {
        let (ready, fine) = ("220 mx ready\r\n", "250 fine\r\n");
        let good = server(ready, fine).await;
        let busy = server("421 too busy\r\n", fine).await;
        let sour = server(ready, "451 come again\r\n").await;
        let nobody = "smtp://127.0.0.1:1";
        let of = |seen: &[(String, Option<Kind>)], name: &str| {
            seen.iter()
                .find(|(subject, _)| subject.contains(name))
                .unwrap()
                .1
        };
        let some = seen(&[&good, &busy, &sour, nobody]).await;
        assert_eq!(of(&some, &good), None);
        assert_eq!(of(&some, &busy), Some(Kind::RelayFailing));
        assert_eq!(of(&some, &sour), Some(Kind::RelayFailing));
        assert_eq!(of(&some, nobody), Some(Kind::RelayFailing));
        assert_eq!(some.last().unwrap(), &("mail".to_owned(), None));
        let none = seen(&[nobody]).await;
        assert_eq!(
            none.last().unwrap(),
            &("mail".to_owned(), Some(Kind::MailDown))
        );
    }
}
