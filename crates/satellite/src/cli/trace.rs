//! `satellite trace`: how far a terminal gets, and what to do where it stops.
//!
//! "It is connected but nothing arrives": the running satellite is asked first, because it saw
//! the last request; what it does not remember, or all of it when it does not run, is answered
//! from the databases and the state folder. A step is green only when something shows it;
//! unknown is never green.

mod hikvision;

use daemon::exit::Exit;
use daemon::logging::Escaped;
use event::{Millis, Serial, Vendor};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::feed::{self, FeedFilter};
use store::registry::{Enrolment, EnrolmentState};

use super::databases::{self, Place};
use super::devices::hikvision::{Condition, held as devices_held, live, live_pull};
use super::devices::{list, show};
use super::words::{Speaks as _, Word};
use super::{Context, http, out, time};

pub(crate) const EXAMPLES: &str = "Example:
  satellite trace ABC1
Five steps, reached → identified → approved → parsed → stored, and advice on the first that
failed, or else that nobody has seen. Exit status 0 when all are green, else 1.";

/// What `trace` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The terminal's serial number
    serial: Serial,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// The steps in their order: the word of `/trace`, and ours for people.
const STEPS: [(&str, Word); 5] = [
    ("reached", Word::StepReached),
    ("identified", Word::StepIdentified),
    ("approved", Word::StepApproved),
    ("parsed", Word::StepParsed),
    ("stored", Word::StepStored),
];

/// What is known of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Failed,
    #[default]
    Unknown,
}

/// One step with what shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
struct Step {
    step: String,
    state: State,
    at: Option<String>,
    detail: Option<String>,
    advice: Option<String>,
}

/// What a running satellite answers.
#[derive(Debug, Deserialize)]
struct Report {
    address: Option<String>,
    steps: Vec<Step>,
}

/// What the databases and the state folder know of a terminal.
#[derive(Debug, Default)]
struct Known {
    /// The registry and its copy could not be read: whether it is enrolled is not known.
    unread: bool,
    enrolment: Option<Enrolment>,
    pending: Option<Millis>,
    last_contact: Option<Millis>,
    last_event: Option<Millis>,
    has_events: bool,
    quarantined: u64,
    /// What is wrong with the database of its events.
    trouble: Option<String>,
    /// What a running satellite says of a Hikvision device.
    conditions: Vec<Condition>,
}

/// The conditions of a device that is dialled or posts, as the running satellite has them.
async fn held(known: &Known, context: &Context) -> Vec<Condition> {
    let Some(one) = &known.enrolment else {
        return Vec::new();
    };
    let serial = one.serial.as_str();
    if one.vendor == Vendor::Hikvision {
        let mut all = live(context).await.unwrap_or_default();
        return all
            .remove(serial)
            .map(|live| live.conditions)
            .unwrap_or_default();
    }
    if matches!(one.vendor, Vendor::Other | Vendor::Satellite) {
        let own = devices_held(context, serial).await;
        return own.ok().flatten().unwrap_or_default();
    }
    let own = live_pull(context, serial).await.ok().flatten();
    own.map(|live| live.conditions).unwrap_or_default()
}

/// Traces.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let serial = &args.serial;
    let running = ask(context, serial).await;
    let mut known = known(context, serial).await;
    if running.is_ok() {
        known.conditions = held(&known, context).await;
    }
    let mut steps = from_databases(&known, context);
    let address = match &running {
        Ok(report) => {
            prefer(&mut steps, report);
            report.address.clone()
        }
        Err(_) => None,
    };
    let red = stops_at(&steps);
    for step in &mut steps {
        step.advice = None;
    }
    if let Some(step) = red.and_then(|red| steps.get_mut(red)) {
        step.advice = Some(advice(step, &known, serial, context));
    }
    if args.json {
        out::json(&json!({
            "serial": serial.as_str(),
            "running": running.is_ok(),
            "tenant": known.enrolment.as_ref().map(|one| one.tenant.as_str()),
            "address": address,
            "quarantined": known.quarantined,
            "first_red": red.and_then(|red| steps.get(red)).map(|step| step.step.as_str()),
            "steps": steps,
        }))?;
    } else {
        if let Err(error) = &running {
            let error = context.lang.detail(error);
            out::remark(&context.say(Word::NotRunning, &[&context.config.listen.admin, &error]));
        }
        out::print(&page(&steps, &known, serial, context))?;
    }
    Ok(if red.is_none() {
        Exit::Fine
    } else {
        Exit::Failed
    })
}

/// Where a terminal stops: at the first step that failed; where none did, at the first that
/// nobody has seen. What is only unknown never hides what is known to have failed.
fn stops_at(steps: &[Step]) -> Option<usize> {
    let first = |state| steps.iter().position(|step| step.state == state);
    first(State::Failed).or_else(|| first(State::Unknown))
}

/// Asks the running satellite.
async fn ask(context: &Context, serial: &Serial) -> Result<Report, String> {
    let path = format!("/trace/{serial}");
    let (status, body) = http::get(context.config.listen.admin, &path)
        .await
        .map_err(|error| error.to_string())?;
    if status != 200 {
        return Err(format!("HTTP {status}"));
    }
    serde_json::from_str(&body).map_err(|error| error.to_string())
}

/// Asks everything else. What does not answer leaves its facts unknown.
async fn known(context: &Context, serial: &Serial) -> Known {
    let read = databases::enrolments(context).await;
    let trouble = read.as_ref().err().map(|error| format!("{error:#}"));
    if let Some(trouble) = &trouble {
        out::complain(trouble);
    }
    let enrolments = read.unwrap_or_default();
    let waiting = list::waiting(context, &enrolments).await;
    let pending = waiting
        .iter()
        .find(|waits| waits.serial == *serial)
        .map(|waits| waits.first_seen);
    let mut known = Known {
        unread: trouble.is_some(),
        pending,
        trouble,
        ..Known::default()
    };
    let Some(enrolment) = enrolments.into_iter().find(|one| one.serial == *serial) else {
        return known;
    };
    if let Some(place) = databases::places(context, Some(&enrolment.tenant))
        .into_iter()
        .next()
    {
        if let Err(error) = look(context, &place, &enrolment, &mut known).await {
            known.trouble = Some(error.to_string());
        } else {
            known.quarantined = show::quarantined(context, &enrolment)
                .await
                .unwrap_or_default();
        }
    }
    known.enrolment = Some(enrolment);
    known
}

/// What the database of its events says.
async fn look(
    context: &Context,
    place: &Place,
    enrolment: &Enrolment,
    known: &mut Known,
) -> anyhow::Result<()> {
    let mut engine = databases::open(context, place).await?;
    let told = |failure| databases::told(context, place, &failure);
    let rows = store::status::read(&mut engine).await.map_err(told)?;
    let mine = |row: &&store::status::StatusRow| {
        row.serial == enrolment.serial.as_str()
            && row.tenant.as_deref() == Some(enrolment.tenant.as_str())
    };
    for row in rows.iter().filter(mine) {
        known.last_contact = known.last_contact.max(row.last_contact_at);
        known.last_event = known.last_event.max(row.last_event_at);
    }
    let filter = FeedFilter {
        serial: Some(enrolment.serial.to_string()),
        tenant: Some(enrolment.tenant.to_string()),
        canary: enrolment.canary,
        limit: 1,
        ..FeedFilter::default()
    };
    known.has_events = !feed::read(&mut engine, &filter)
        .await
        .map_err(told)?
        .is_empty();
    Ok(())
}

fn from_databases(known: &Known, context: &Context) -> Vec<Step> {
    let contact = known.last_contact.or(known.pending);
    let seen = contact.is_some() || known.has_events;
    let green = |ok: bool| if ok { State::Ok } else { State::Unknown };
    let enrolled = known.enrolment.as_ref();
    let approved = match enrolled.map(|one| one.state) {
        Some(EnrolmentState::Approved) => State::Ok,
        None if known.unread => State::Unknown,
        Some(EnrolmentState::Blocked) | None => State::Failed,
    };
    let parsed = match (known.has_events, known.quarantined) {
        (true, _) => State::Ok,
        (false, 0) => State::Unknown,
        (false, _) => State::Failed,
    };
    let stored = if known.trouble.is_some() {
        State::Failed
    } else {
        green(known.has_events)
    };
    let detail = match enrolled {
        Some(one) => Some(context.say(
            Word::EnrolledFor,
            &[&one.tenant, &context.lang.term(one.state.as_str())],
        )),
        None if known.pending.is_some() => Some(context.lang.term("pending")),
        None if known.unread => None,
        None => Some(context.say(Word::NotEnrolled, &[])),
    };
    let quarantined =
        (known.quarantined > 0).then(|| context.say(Word::InReviewCount, &[&known.quarantined]));
    let at = |at: Option<Millis>| at.map(time::utc);
    let step = |at_step: usize, state, at: Option<String>, detail: Option<String>| Step {
        step: STEPS[at_step].0.to_owned(),
        state,
        at,
        detail,
        advice: None,
    };
    vec![
        step(0, green(seen), at(contact), None),
        step(1, green(seen), at(contact), None),
        step(2, approved, at(enrolled.map(|one| one.created_at)), detail),
        step(3, parsed, at(known.last_event), quarantined),
        step(4, stored, at(known.last_event), known.trouble.clone()),
    ]
}

/// Takes what the running satellite knows; where it knows nothing, ours stays. Where both know
/// the same, ours stays as the detail: it is in the reader's language.
fn prefer(ours: &mut [Step], theirs: &Report) {
    for step in ours.iter_mut() {
        let same = theirs.steps.iter().find(|other| other.step == step.step);
        if let Some(other) = same.filter(|other| other.state != State::Unknown) {
            let said = other.detail.clone().filter(|text| !text.is_empty());
            let kept = step.detail.take();
            let detail = if other.state == step.state {
                kept.or(said)
            } else {
                said.or(kept)
            };
            *step = Step {
                at: other.at.clone().map(as_instant),
                detail,
                ..other.clone()
            };
        }
    }
    // That a request came and named its serial needs no words; where it came from does.
    if let [reached, identified, ..] = ours {
        for step in [&mut *reached, identified] {
            step.detail = step.detail.take().filter(|_| step.state != State::Ok);
        }
        reached.detail = reached.detail.take().or_else(|| theirs.address.clone());
    }
}

/// The running satellite writes times as the databases do, in UTC.
fn as_instant(text: String) -> String {
    Millis::parse(&text).map_or(text, time::utc)
}

/// What to do about the first step that is not green.
fn advice(step: &Step, known: &Known, serial: &Serial, context: &Context) -> String {
    let program = super::program();
    let failed = step.state == State::Failed;
    let blocked = known
        .enrolment
        .as_ref()
        .is_some_and(|one| one.state == EnrolmentState::Blocked);
    let tenant = known.enrolment.as_ref().map(|one| one.tenant.to_string());
    if let Some(one) = known
        .enrolment
        .as_ref()
        .filter(|_| !known.unread && !blocked)
        && let Some(own) = hikvision::advice(&step.step, failed, one, &known.conditions, context)
    {
        return own;
    }
    match step.step.as_str() {
        "reached" if known.unread => context.say(Word::AdviseStore, &[&program]),
        "reached" => format!(
            "{}\n{}",
            context.say(Word::AdviseReach, &[]),
            show::settings(context)
        ),
        "identified" => context.say(Word::AdviseIdentify, &[]),
        "approved" if blocked => context.say(Word::AdviseBlocked, &[&program, serial]),
        "approved" => {
            let tenant = tenant.unwrap_or_else(|| context.tenant_to_type());
            context.say(Word::AdviseApprove, &[&program, serial, &tenant])
        }
        // Nothing of it is in review: it was refused before it was read.
        "parsed" if failed && known.quarantined == 0 => context.say(Word::AdviseRefused, &[]),
        "parsed" if failed => context.say(Word::AdviseParse, &[&program, serial]),
        "parsed" => context.say(Word::AdviseNothing, &[]),
        "stored" if failed => context.say(Word::AdviseStore, &[&program]),
        _ => context.say(Word::AdviseWait, &[]),
    }
}

fn page(steps: &[Step], known: &Known, serial: &Serial, context: &Context) -> String {
    let own = known.enrolment.as_ref();
    let zone = context.zone(
        own.and_then(|one| one.time_zone.as_deref()),
        own.map(|one| &one.tenant),
    );
    let mut page = format!("{serial}\n");
    for step in steps {
        let mark = match step.state {
            State::Ok => '✓',
            State::Failed => '✗',
            State::Unknown => '?',
        };
        let word = STEPS
            .iter()
            .find(|(word, _)| *word == step.step)
            .map_or(Word::StepStored, |(_, word)| *word);
        let at = step.at.as_deref().map(|at| {
            time::moment(at, &zone, Millis(0))
                .map_or_else(|_| at.to_owned(), |at| time::show(at, &zone))
        });
        let detail = context
            .lang
            .detail(step.detail.as_deref().unwrap_or_default());
        let detail = Escaped(&detail);
        let line = format!(
            "  {mark} {:<16} {:<27} {detail}",
            context.say(word, &[]),
            at.unwrap_or_default()
        );
        page.push_str(line.trim_end());
        page.push('\n');
    }
    match stops_at(steps).and_then(|at| steps.get(at)) {
        None => page.push_str(&context.say(Word::AllGreen, &[&super::program(), serial])),
        Some(first) => {
            let word = STEPS
                .iter()
                .find(|(word, _)| *word == first.step)
                .map_or(Word::StepStored, |(_, word)| *word);
            let advice = first.advice.as_deref().unwrap_or_default();
            page.push_str(&context.say(Word::FirstRed, &[&context.say(word, &[])]));
            page.push('\n');
            page.push_str(advice.trim_end());
        }
    }
    page.push('\n');
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{DeviceId, TenantId};

    fn enrolment(state: EnrolmentState) -> Enrolment {
        Enrolment {
            id: DeviceId([1; 16]),
            vendor: Vendor::Zkteco,
            serial: Serial::new("ABC1").unwrap(),
            tenant: TenantId::new("main").unwrap(),
            state,
            name: None,
            site: None,
            time_zone: None,
            canary: false,
            accept_from: None,
            created_at: Millis(0),
            access: store::registry::Access::default(),
        }
    }

    fn states(known: &Known) -> Vec<State> {
        from_databases(known, &Context::for_tests())
            .iter()
            .map(|step| step.state)
            .collect()
    }

    #[test]
    fn each_fact_makes_its_own_step_green_and_nothing_is_green_by_guess() {
        use State::{Failed, Ok, Unknown};
        assert_eq!(
            states(&Known::default()),
            [Unknown, Unknown, Failed, Unknown, Unknown]
        );
        let waits = Known {
            pending: Some(Millis(1)),
            ..Known::default()
        };
        assert_eq!(states(&waits), [Ok, Ok, Failed, Unknown, Unknown]);
        let mut known = Known {
            enrolment: Some(enrolment(EnrolmentState::Approved)),
            ..Known::default()
        };
        known.last_contact = Some(Millis(1));
        assert_eq!(states(&known), [Ok, Ok, Ok, Unknown, Unknown]);
        known.quarantined = 2;
        assert_eq!(states(&known), [Ok, Ok, Ok, Failed, Unknown]);
        known.has_events = true;
        assert_eq!(states(&known), [Ok; 5]);
        known.trouble = Some("down".to_owned());
        assert_eq!(states(&known), [Ok, Ok, Ok, Ok, Failed]);
        let unread = Known {
            unread: true,
            trouble: known.trouble,
            ..Known::default()
        };
        assert_eq!(
            states(&unread),
            [Unknown, Unknown, Unknown, Unknown, Failed]
        );
    }

    #[test]
    fn the_running_satellite_is_believed_except_where_it_knows_nothing() {
        let mut ours = from_databases(
            &Known {
                has_events: true,
                ..Known::default()
            },
            &Context::for_tests(),
        );
        let text = r#"{"serial":"ABC1","address":"192.0.2.7","steps":[
            {"step":"reached","state":"ok","at":"2026-11-21 15:00:00.000","detail":"a request came in","advice":null},
            {"step":"approved","state":"ok","at":"2026-11-21 15:00:00.000","detail":"","advice":null},
            {"step":"stored","state":"unknown","at":null,"detail":null,"advice":"x"}]}"#;
        let report: Report = serde_json::from_str(text).unwrap();
        prefer(&mut ours, &report);
        assert_eq!(ours[0].detail.as_deref(), Some("192.0.2.7"));
        assert_eq!(ours[2].state, State::Ok);
        assert_eq!(ours[2].at.as_deref(), Some("2026-11-21T15:00:00.000Z"));
        assert_eq!(ours[4].state, State::Ok);
    }

    #[test]
    fn the_first_red_step_is_named_with_the_command_that_helps() {
        let serial = Serial::new("ABC1").unwrap();
        let known = Known {
            pending: Some(Millis(1)),
            ..Known::default()
        };
        let context = Context::for_tests();
        let mut steps = from_databases(&known, &context);
        steps[2].advice = Some(advice(&steps[2], &known, &serial, &context));
        let page = page(&steps, &known, &serial, &context);
        assert!(
            page.contains("✓ reached") && page.contains("✗ approved"),
            "{page}"
        );
        assert!(
            page.contains("devices approve ABC1 --tenant main"),
            "{page}"
        );
        let blocked = Known {
            enrolment: Some(enrolment(EnrolmentState::Blocked)),
            ..Known::default()
        };
        let step = from_databases(&blocked, &context)[2].clone();
        assert!(advice(&step, &blocked, &serial, &context).contains("blocked"));
    }

    #[test]
    fn what_failed_is_where_it_stops_also_behind_steps_that_nobody_has_seen() {
        let never_seen = Known::default();
        let context = Context::for_tests();
        let mut steps = from_databases(&never_seen, &context);
        assert_eq!(
            (steps[0].state, steps[2].state),
            (State::Unknown, State::Failed)
        );
        assert_eq!(stops_at(&steps), Some(2));
        let serial = Serial::new("ABC1").unwrap();
        let page = page(&steps, &never_seen, &serial, &context);
        assert!(page.contains("It stops at: approved"), "{page}");
        steps[2].state = State::Ok;
        assert_eq!(stops_at(&steps), Some(0));
        for step in &mut steps {
            step.state = State::Ok;
        }
        assert_eq!(stops_at(&steps), None);
        let page = super::page(&steps, &never_seen, &serial, &context);
        assert!(page.contains("--serial ABC1"), "{page}");
    }

    #[test]
    fn a_hikvision_device_gets_advice_for_its_own_way_and_never_a_zkteco_menu() {
        let context = Context::for_tests();
        let told = |access: store::registry::Access, step: &str, held: Vec<Condition>| {
            let step = Step {
                step: step.to_owned(),
                ..Step::default()
            };
            let mut one = enrolment(EnrolmentState::Approved);
            one.vendor = Vendor::Hikvision;
            one.access = access;
            let known = Known {
                enrolment: Some(one),
                conditions: held,
                ..Known::default()
            };
            advice(&step, &known, &Serial::new("ABC1").unwrap(), &context)
        };
        let dialled = || store::registry::Access {
            address: Some(event::Text::new("10.8.0.20:80")),
            ..Default::default()
        };
        let listens = store::registry::Access {
            token_hash: Some(store::registry::TokenHash::of("x")),
            ..Default::default()
        };
        assert!(told(dialled(), "reached", vec![]).contains("10.8.0.20:80"));
        let posts = told(listens, "reached", vec![]);
        assert!(
            posts.contains("HTTP Listening") && posts.contains("--listen"),
            "{posts}"
        );
        assert!(!posts.contains("ADMS"), "{posts}");
        let none = told(store::registry::Access::default(), "reached", vec![]);
        assert!(none.contains("how its events come"), "{none}");
        let locked = r#"[{"name":"login_refused","since":"2026-11-21 10:00:00.000","detail":"x"}]"#;
        let locked: Vec<Condition> = serde_json::from_str(locked).unwrap();
        let told = told(dialled(), "approved", locked);
        assert!(told.contains("lock time"), "{told}");
    }

    #[test]
    fn advice_on_what_was_not_read_asks_for_review_only_where_something_is_in_review() {
        let context = Context::for_tests();
        let serial = Serial::new("ABC1").unwrap();
        let step = Step {
            step: "parsed".to_owned(),
            state: State::Failed,
            ..Step::default()
        };
        let advised = |quarantined| {
            let known = Known {
                enrolment: Some(enrolment(EnrolmentState::Approved)),
                quarantined,
                ..Known::default()
            };
            advice(&step, &known, &serial, &context)
        };
        assert!(advised(0).contains("keeps its records"), "{}", advised(0));
        assert!(advised(3).contains("quarantine list"), "{}", advised(3));
    }
}
