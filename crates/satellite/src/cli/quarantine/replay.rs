//! `satellite quarantine replay`: another try with the reader of this version.
//!
//! What can be read now goes through the writer like a terminal's upload, as received when it
//! first came. The row in quarantine is settled only when every record in it became an event
//! or stands in quarantine by itself; otherwise it stays, and the command says why.

use std::collections::HashMap;
use std::sync::Arc;

use daemon::exit::Exit;
use event::{Device, DeviceId, Event, Millis, Quarantined, Serial, Text, Vendor};
use hikvision_isapi::{Chain, Hint};
use satellite::hikvision::CHAIN_CURSOR;
use store::quarantine::{self, QuarantineFilter, QuarantineRow};
use store::registry::Enrolment;
use store::{Receipt, Refused, Submission, Writer};

use super::super::databases::{self, Place};
use super::super::words::Word;
use super::super::{Context, now, out};
use super::mapped;
use super::reread::{self, Again, Around};

/// Rows taken from one database in one run.
const AT_ONCE: u32 = 100_000;
/// The mirror's name for the language of a terminal's handshake.
const LANGUAGE: &str = "language";
/// Tries of a record whose device's chain a running satellite moves at that moment.
const TRIES: u32 = 5;

/// What `quarantine replay` is told.
#[derive(clap::Args)]
#[group(required = true, multiple = false, args = ["serial", "id", "number", "all"])]
pub(crate) struct Args {
    /// The record with this number
    id: Option<i64>,
    /// Records of this terminal
    #[arg(long, value_name = "SN")]
    serial: Option<Serial>,
    /// The first spelling of the number, which scripts may still have.
    #[arg(long = "id", value_name = "ID", hide = true)]
    number: Option<i64>,
    /// Every record that is not settled
    #[arg(long)]
    all: bool,
    /// Only in this tenant's database
    #[arg(long, value_name = "T")]
    tenant: Option<String>,
}

/// What came of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is an event now, or was one already.
    Settled,
    /// It is older than its terminal's enrolment accepts.
    BeforeEnrolment,
    /// It is understood now, and holds nothing that is kept.
    NothingToKeep,
    /// The reader still refuses it.
    StillUnreadable,
    /// The store set it aside again: same person and second, or a conflict.
    SetAsideAgain,
    /// Its enrolment has ended.
    NoTerminal,
}

impl Outcome {
    fn settles(self) -> bool {
        matches!(
            self,
            Self::Settled | Self::BeforeEnrolment | Self::NothingToKeep
        )
    }

    fn word(self) -> Word {
        match self {
            Self::Settled => Word::ReplaySettled,
            Self::BeforeEnrolment => Word::ReplayBefore,
            Self::NothingToKeep => Word::ReplayNothing,
            Self::StillUnreadable => Word::ReplayUnreadable,
            Self::SetAsideAgain => Word::ReplayAside,
            Self::NoTerminal => Word::ReplayNoTerminal,
        }
    }
}

/// Replays.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let work = chosen(args, context).await?;
    let known = databases::enrolments(context).await?;
    let known: HashMap<DeviceId, &Enrolment> = known.iter().map(|one| (one.id, one)).collect();
    let (mut settled, mut stayed) = (0_u64, 0_u64);
    for (place, rows) in work {
        let mut replayer = Replayer::start(context, &place, &known).await?;
        for row in rows {
            let outcome = replayer
                .one(&row, known.get(&row.device_id).copied())
                .await?;
            if outcome.settles() {
                settled += 1;
            } else {
                stayed += 1;
            }
            out::line(&format!("{}: {}", row.id, context.say(outcome.word(), &[])))?;
        }
        replayer.writer.close().await;
    }
    out::line(&context.say(Word::ReplayDone, &[&settled, &stayed]))?;
    Ok(Exit::Fine)
}

/// The records that are meant, by database, the oldest first.
async fn chosen(
    args: &Args,
    context: &Context,
) -> anyhow::Result<Vec<(Place, Vec<QuarantineRow>)>> {
    if let Some(id) = args.id.or(args.number) {
        let (place, row) = super::find(id, args.tenant.as_deref(), context).await?;
        if row.settled_at.is_some() {
            anyhow::bail!(context.say(Word::SettledBefore, &[&id]));
        }
        return Ok(vec![(place, vec![row])]);
    }
    let tenant = context.tenant_if_given(args.tenant.as_deref())?;
    let serial = args.serial.as_ref().map(ToString::to_string);
    let filter = QuarantineFilter {
        serial,
        limit: AT_ONCE,
        ..QuarantineFilter::default()
    };
    let mut work = Vec::new();
    for place in databases::places(context, tenant.as_ref()) {
        let mut engine = databases::open(context, &place).await?;
        let rows = quarantine::list(&mut engine, &filter).await;
        let mut rows = rows.map_err(|failure| databases::told(context, &place, &failure))?;
        rows.retain(|row| {
            tenant
                .as_ref()
                .is_none_or(|tenant| row.tenant.as_deref() == Some(tenant.as_str()))
        });
        rows.reverse();
        work.push((place, rows));
    }
    Ok(work)
}

/// One database with a writer of its own.
struct Replayer<'a> {
    context: &'a Context,
    place: &'a Place,
    engine: store::AnyEngine,
    writer: Writer,
    languages: HashMap<DeviceId, u16>,
    known: &'a HashMap<DeviceId, &'a Enrolment>,
}

impl<'a> Replayer<'a> {
    async fn start(
        context: &'a Context,
        place: &'a Place,
        known: &'a HashMap<DeviceId, &'a Enrolment>,
    ) -> anyhow::Result<Self> {
        let engine = databases::open(context, place).await?;
        let (writer, mirror) = databases::writer(context, place).await?;
        let stamps = mirror.stamps().await.unwrap_or_default();
        let languages = stamps
            .into_iter()
            .filter(|(_, name, _)| name == LANGUAGE)
            .filter_map(|(id, _, value)| Some((id, value.parse().ok()?)))
            .collect();
        Ok(Self {
            context,
            place,
            engine,
            writer,
            languages,
            known,
        })
    }

    async fn one(
        &mut self,
        row: &QuarantineRow,
        of: Option<&Enrolment>,
    ) -> anyhow::Result<Outcome> {
        let Some(enrolment) = of else {
            return Ok(Outcome::NoTerminal);
        };
        let outcome = match enrolment.vendor {
            Vendor::Other => self.read_by_mapping(row, enrolment).await?,
            Vendor::Zkteco | Vendor::Hikvision | Vendor::Satellite => {
                let device = Arc::new(device(enrolment, self.context));
                self.read_and_store(row, &device, enrolment.accept_from)
                    .await?
            }
        };
        if outcome.settles() {
            let settled = quarantine::settle(&mut self.engine, row.id, now()).await;
            settled.map_err(|failure| databases::told(self.context, self.place, &failure))?;
        }
        Ok(outcome)
    }

    /// Reads the record as its own way does, and stores what is understood under the chain of
    /// serials that it was read with.
    async fn read_and_store(
        &mut self,
        row: &QuarantineRow,
        device: &Arc<Device>,
        accept_from: Option<Millis>,
    ) -> anyhow::Result<Outcome> {
        for _ in 0..TRIES {
            let chain = self.chain(device).await?;
            let around = Around {
                device,
                language: self.languages.get(&row.device_id).copied(),
                epoch: chain.as_ref().map_or(0, |(chain, _)| chain.epoch()),
            };
            let again = reread::read(row, &around);
            let serials = again.serials.clone();
            let (events, quarantined) = match prepared(again, accept_from) {
                Prepared::Nothing(outcome) => return Ok(outcome),
                Prepared::Store(events, quarantined) => (events, quarantined),
            };
            let aside = quarantined.len() as u64;
            let (cursors, expects) = moved(chain, &serials);
            let submission = Submission {
                device: Arc::clone(device),
                events,
                quarantined,
                cursors,
                expects,
                fence: None,
            };
            match self.writer.submit(submission).await {
                Ok(receipt) => return Ok(judged(receipt, aside)),
                Err(Refused::Moved) => {}
                Err(refused) => {
                    anyhow::bail!(self.context.say(Word::ReplayRefused, &[&row.id, &refused]))
                }
            }
        }
        anyhow::bail!(
            self.context
                .say(Word::ReplayRefused, &[&row.id, &Refused::Moved])
        )
    }

    /// Reads the record by the mapping of its sender, and stores what each terminal gets of it.
    async fn read_by_mapping(
        &mut self,
        row: &QuarantineRow,
        sender: &Enrolment,
    ) -> anyhow::Result<Outcome> {
        let again = mapped::read(row, sender, self.known, self.context);
        if again.shares.is_empty() {
            return Ok(match again.understood {
                true => Outcome::NothingToKeep,
                false => Outcome::StillUnreadable,
            });
        }
        let mut outcome = Outcome::BeforeEnrolment;
        for share in again.shares {
            let (of, mut events) = (share.of, share.events);
            events.retain(|event| {
                let both = of.accept_from.zip(event.occurred_at);
                both.is_none_or(|(from, at)| at >= from)
            });
            if events.is_empty() && share.quarantined.is_empty() {
                continue;
            }
            let aside = share.quarantined.len() as u64;
            let submission = Submission {
                device: Arc::new(device(of, self.context)),
                events,
                quarantined: share.quarantined,
                cursors: Vec::new(),
                expects: None,
                fence: None,
            };
            let receipt = self.writer.submit(submission).await.map_err(|refused| {
                anyhow::anyhow!(self.context.say(Word::ReplayRefused, &[&row.id, &refused]))
            })?;
            if outcome != Outcome::SetAsideAgain {
                outcome = judged(receipt, aside);
            }
        }
        Ok(outcome)
    }

    /// The chain of a Hikvision device's serials, with the text that stands for it in the
    /// database; `None` for other vendors.
    async fn chain(&mut self, device: &Device) -> anyhow::Result<Option<(Chain, Option<Text>)>> {
        if device.vendor != Vendor::Hikvision {
            return Ok(None);
        }
        let cursors = store::cursors(&mut self.engine, Some(&[device.id])).await;
        let cursors =
            cursors.map_err(|failure| databases::told(self.context, self.place, &failure))?;
        let stored = cursors
            .into_iter()
            .find(|(_, name, _)| name == CHAIN_CURSOR);
        let stored = stored.map(|(_, _, text)| text);
        let chain = stored.as_deref().and_then(Chain::parse);
        Ok(Some((chain.unwrap_or_else(Chain::new), stored)))
    }
}

type Cursor = (Text, Text);

/// What moves with the records: a serial that was missing is there now. Every other one leaves
/// the chain as it is, or a gap nobody has seen would be opened or closed by it.
fn moved(
    chain: Option<(Chain, Option<Text>)>,
    serials: &[u64],
) -> (Vec<Cursor>, Option<(Text, Option<Text>)>) {
    let Some((mut chain, stored)) = chain else {
        return (Vec::new(), None);
    };
    let name = Text::const_new(CHAIN_CURSOR);
    let mut filled = serials.to_vec();
    filled.retain(|&serial| chain.hint(serial, None) == Hint::Filling);
    chain.stored(&filled, None);
    let moves = (!filled.is_empty()).then(|| (name.clone(), Text::from(chain.text())));
    (moves.into_iter().collect(), Some((name, stored)))
}

/// The terminal as the store is told of it.
fn device(enrolment: &Enrolment, context: &Context) -> Device {
    let one = enrolment.clone();
    Device {
        id: one.id,
        zone: context.zone(one.time_zone.as_deref(), Some(&one.tenant)),
        tenant: Some(one.tenant),
        vendor: one.vendor,
        serial: one.serial,
        name: one.name,
        site: one.site,
        canary: one.canary,
    }
}

/// What there is to do with a record that was read again.
#[derive(Debug, PartialEq)]
enum Prepared {
    /// Nothing to store, and why.
    Nothing(Outcome),
    /// This is to be stored.
    Store(Vec<Event>, Vec<Quarantined>),
}

fn prepared(again: Again, accept_from: Option<Millis>) -> Prepared {
    let Again {
        mut events,
        quarantined,
        understood,
        ..
    } = again;
    if events.is_empty() {
        return Prepared::Nothing(match understood && quarantined.is_empty() {
            true => Outcome::NothingToKeep,
            false => Outcome::StillUnreadable,
        });
    }
    events.retain(|event| {
        accept_from
            .zip(event.occurred_at)
            .is_none_or(|(from, at)| at >= from)
    });
    if events.is_empty() && quarantined.is_empty() {
        return Prepared::Nothing(Outcome::BeforeEnrolment);
    }
    Prepared::Store(events, quarantined)
}

/// Everything that was handed over is an event now unless the store set more aside than we did.
fn judged(receipt: Receipt, aside: u64) -> Outcome {
    if receipt.quarantined > aside {
        Outcome::SetAsideAgain
    } else {
        Outcome::Settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{Bytes, Route, Zone};
    use zkteco_push::{Table, read_upload};

    fn again(body: &'static [u8]) -> Again {
        let context = zkteco_push::Context {
            zone: &Zone::utc(),
            route: Route::Push,
            received_at: Millis(0),
            language: None,
        };
        let reading = read_upload(&Table::AttLog, &Bytes::from_static(body), &context);
        Again {
            events: reading.events,
            quarantined: reading.quarantined,
            ..Again::default()
        }
    }

    #[test]
    fn what_is_still_unreadable_is_not_stored_again_and_what_is_readable_is() {
        let bad = prepared(again(b"1\t2026-13-45 00:00:00\t0\t1\n"), None);
        assert_eq!(bad, Prepared::Nothing(Outcome::StillUnreadable));
        let mixed = prepared(again(b"1\t2026-11-21 08:00:00\t0\t1\nrubbish\n"), None);
        assert!(
            matches!(mixed, Prepared::Store(events, aside) if events.len() == 1 && aside.len() == 1)
        );
    }

    #[test]
    fn records_of_the_time_before_the_enrolment_stay_out_and_count_as_dealt_with() {
        let from = Millis::parse("2026-11-22 00:00:00");
        let before = prepared(again(b"1\t2026-11-21 08:00:00\t0\t1\n"), from);
        assert_eq!(before, Prepared::Nothing(Outcome::BeforeEnrolment));
        assert!(Outcome::BeforeEnrolment.settles() && !Outcome::StillUnreadable.settles());
    }

    #[test]
    fn a_serial_read_again_is_missing_no_more_and_never_opens_a_gap() {
        let mut chain = Chain::new();
        chain.post_only(1, None, 150_000);
        chain.post_only(4, None, 150_000);
        let text = Text::from(chain.text());
        let (cursors, expects) = moved(Some((chain.clone(), Some(text.clone()))), &[2, 9]);
        let next = Chain::parse(&cursors[0].1).unwrap();
        assert_eq!((next.missing(), next.newest()), (1, Some(4)));
        let name = Text::const_new(CHAIN_CURSOR);
        assert_eq!(expects, Some((name, Some(text))));
        assert_eq!(moved(Some((chain, None)), &[]).0, []);
        assert_eq!(moved(None, &[]), (vec![], None));
    }

    #[test]
    fn a_record_that_the_store_sets_aside_again_is_not_settled() {
        let receipt = |new, duplicate, quarantined| Receipt {
            new,
            duplicate,
            quarantined,
            ..Receipt::default()
        };
        assert_eq!(judged(receipt(1, 0, 0), 0), Outcome::Settled);
        assert_eq!(judged(receipt(0, 1, 0), 0), Outcome::Settled);
        assert_eq!(judged(receipt(1, 0, 2), 2), Outcome::Settled);
        assert_eq!(judged(receipt(0, 1, 1), 0), Outcome::SetAsideAgain);
    }
}
