//! The mail path, watched like everything else: does each relay greet us as mail servers do?
//!
//! What the outbox knows (how old its oldest letter is, which were given up) belongs to the
//! process that owns it and is told by it. Here the relays are asked for a handshake, without a
//! letter: connection, greeting, EHLO, and TLS where it is in use, so that a relay that broke
//! at night is known before the letter that needs it. Whether a letter really arrives is
//! another look's question (`round_trip`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use notify::SmtpRelay;

use crate::config::Mail;
use crate::{Fact, Kind, Look, Observation, Round, Severity, Subject, Trouble, Value};

/// From round to round: often enough to be known before a letter needs it, seldom enough for a
/// relay that counts.
const EVERY: Duration = Duration::from_secs(120);
/// For each relay.
const ASK_WITHIN: Duration = Duration::from_secs(15);

/// The look at all relays.
pub struct Relays {
    relays: Vec<Arc<SmtpRelay>>,
}

impl Relays {
    /// A look at these relays.
    ///
    /// # Errors
    /// A relay's address or authorities cannot be used, which the configuration's check rules
    /// out.
    pub fn new(mail: &Mail) -> Result<Self, notify::Error> {
        let mut relays = Vec::with_capacity(mail.relays.len());
        for relay in &mail.relays {
            let mut smtp = SmtpRelay::new(&relay.url)?.deadline(ASK_WITHIN);
            if let Some((user, password)) = &relay.login {
                smtp = smtp.login(user, password.clone());
            }
            if let Some(pem) = &relay.authorities {
                smtp = smtp.trust(pem)?;
            }
            relays.push(Arc::new(smtp));
        }
        Ok(Self { relays })
    }

    fn subject(relay: &SmtpRelay) -> Subject {
        let relay = Some(notify::Relay::name(relay).to_owned());
        Subject::Mail { relay }
    }
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
        ASK_WITHIN + Duration::from_secs(10)
    }

    fn subjects(&self) -> Vec<Subject> {
        let each = self.relays.iter().map(|relay| Self::subject(relay));
        [Subject::Mail { relay: None }]
            .into_iter()
            .chain(each)
            .collect()
    }

    async fn look(&self, now: Timestamp) -> Round {
        let mut asking = tokio::task::JoinSet::new();
        for relay in &self.relays {
            let relay = Arc::clone(relay);
            asking.spawn(async move {
                let began = Instant::now();
                let greeted = relay.greets().await;
                (Self::subject(&relay), greeted, began.elapsed())
            });
        }
        let (mut seen, mut failing, mut last) = (Vec::new(), 0, Value::heard(""));
        while let Some(done) = asking.join_next().await {
            let Ok((subject, greeted, took)) = done else {
                continue;
            };
            seen.push(match greeted {
                Ok(()) => {
                    Observation::fine(subject, now).number("took_seconds", took.as_secs_f64())
                }
                Err(failed) => {
                    failing += 1;
                    last = Value::heard(&failed.words);
                    let trouble = Trouble::new(Kind::RelayFailing);
                    let trouble = trouble.fact(Fact::Detail, last.clone());
                    Observation::wrong(subject, now, vec![trouble])
                }
            });
        }
        let down = failing > 0 && failing == self.relays.len();
        let trouble = down.then(|| {
            Trouble::new(Kind::MailDown)
                .severity(Severity::Critical)
                .fact(
                    Fact::Count,
                    Value::Count(i64::try_from(failing).unwrap_or(i64::MAX)),
                )
                .fact(Fact::Detail, last)
        });
        let whole = Subject::Mail { relay: None };
        seen.push(Observation::wrong(
            whole,
            now,
            trouble.into_iter().collect(),
        ));
        Round::part(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Finding;
    use crate::config::Relay;
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    /// A server that greets and answers EHLO, or says something else.
    async fn server(greeting: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (reader, mut writer) = stream.into_split();
                let mut lines = BufReader::new(reader).lines();
                writer.write_all(greeting.as_bytes()).await.ok();
                while let Ok(Some(line)) = lines.next_line().await {
                    let answer = if line == "QUIT" {
                        "221 bye\r\n"
                    } else {
                        "250 fine\r\n"
                    };
                    writer.write_all(answer.as_bytes()).await.ok();
                }
            }
        });
        url
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
    async fn a_relay_that_greets_is_fine_one_that_does_not_fails_and_without_any_mail_is_down() {
        let good = server("220 mx ready\r\n").await;
        let busy = server("421 too busy\r\n").await;
        let nobody = "smtp://127.0.0.1:1";
        let of = |seen: &[(String, Option<Kind>)], name: &str| {
            seen.iter()
                .find(|(subject, _)| subject.contains(name))
                .unwrap()
                .1
        };
        let some = seen(&[&good, &busy, nobody]).await;
        assert_eq!(of(&some, &good), None);
        assert_eq!(of(&some, &busy), Some(Kind::RelayFailing));
        assert_eq!(of(&some, nobody), Some(Kind::RelayFailing));
        assert_eq!(some.last().unwrap(), &("mail".to_owned(), None));
        let none = seen(&[nobody]).await;
        assert_eq!(
            none.last().unwrap(),
            &("mail".to_owned(), Some(Kind::MailDown))
        );
    }
}
