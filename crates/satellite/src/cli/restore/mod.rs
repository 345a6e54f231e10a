//! `satellite restore`: a copy put back, with everything that keeps it from making things worse.
//!
//! It says how old the copy is before anything else, reads all of it, waits for a person's word (and
//! for a second person's where two are needed), keeps a copy of what is there, and only then
//! restores. The new epoch and the question to the terminals are the daemon's: what is left here for
//! it is a mark that says the feed had come further than the copy, as after any other restore.

mod report;
mod standing;
mod tail;
mod words;

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use std::time::Instant;

use backup::log::Tail;
use backup::{
    Copied, Destination, Evidence, Kept as _, Location, Manifest, Pace, Problem, Request, Restored,
    RestoredStore, Source, Unfinished,
};
use daemon::actor::actor;
use daemon::config::Secret;
use daemon::exit::Exit;
use daemon::logging::Escaped;
use jiff::{SignedDuration, Timestamp};
use satellite::Config;
use satellite::config::Backup;
use serde_json::json;
use store::mirror::FeedMark;
use store::{Target, feed, schema};

use super::backup::{
    alone, key, locations, moment, needed, own, plan_of, shown, span, tenants, told, work,
};
use super::databases::{self, Place};
use super::{Context, db, http, out, program, tenant};
use crate::cli::words::{Lang, Speaks as _};
use standing::Standing;
use words::Says;

pub(crate) const EXAMPLES: &str = "Examples:
  satellite restore --tenant acme      # the newest copy of one tenant's database; asks first
  satellite restore --yes all          # of every database, without asking
  satellite restore --until 15m --yes all   # as it was a quarter of an hour ago, by the binary log
  satellite restore --report           # what was lost, what came back, how long it took
satellite has to be stopped. What is there is copied before it is replaced.";

/// For how long a request waits for the second person.
const APPROVAL: SignedDuration = SignedDuration::from_hours(1);
/// What stands for every database where one is confirmed by name.
const ALL: &str = "all";
/// What the label of a safety copy ends with; no store has it, so that no other command takes it for
/// the newest copy.
pub(super) const SAFETY: &str = ".before-restore";
/// For how long what a restore kept safe stays.
pub(super) const SAFE_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Epochs that are left out where nothing is left that knows how far the feed had come.
const UNKNOWN_EPOCHS: i64 = 16;

/// What `restore` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this tenant's database [default: every one]
    #[arg(long, value_name = "T")]
    tenant: Option<String>,
    /// The copy, as `backup list` names it [default: the newest]
    #[arg(long, value_name = "COPY")]
    copy: Option<String>,
    /// Put back only what was committed before this time, as far as the binary log was shipped
    #[arg(long, value_name = "TIME", conflicts_with = "without_log")]
    until: Option<String>,
    /// Put back the copy alone, without the binary log that follows it
    #[arg(long)]
    without_log: bool,
    /// Confirm: the tenant's name, or `all` for every database
    #[arg(long, value_name = "NAME")]
    yes: Option<String>,
    /// Go on although what is there cannot be copied
    #[arg(long)]
    without_safety_copy: bool,
    /// As the second person: approve the restore that somebody asked for
    #[arg(long, conflicts_with_all = ["tenant", "copy", "until", "without_log", "yes", "without_safety_copy", "report"])]
    approve: bool,
    /// What was lost, what came back and how long it took, beside what was promised
    #[arg(long, conflicts_with_all = ["tenant", "copy", "until", "without_log", "yes", "without_safety_copy"])]
    report: bool,
    /// The report as JSON
    #[arg(long, requires = "report")]
    json: bool,
}

/// One database and what will be put there.
struct Step {
    place: Place,
    source: Source,
    copy: Copied,
    /// The copy where it can be read.
    files: Copied,
    manifest: Manifest,
    tail: Option<Tail>,
}

impl Step {
    fn destination(&self) -> Destination<'_> {
        destination(&self.place.target, &self.source)
    }
}

fn destination<'a>(target: &'a Target, source: &'a Source) -> Destination<'a> {
    match source {
        Source::Sqlite(file) => Destination::Sqlite(file),
        Source::Mysql(login) => Destination::Mysql(target, login),
    }
}

/// What keeps satellite from starting: half of a copy in a database.
pub(crate) fn half_done(config: &Config, lang: Lang) -> Option<String> {
    let stores = Unfinished::read(&config.state_dir)?.stores;
    let stores: Vec<_> = stores.into_iter().collect();
    let note = config.state_dir.join(Unfinished::NAME);
    let values: [&dyn std::fmt::Display; 3] = [&stores.join(", "), &program(), &note.display()];
    Some(lang.say(Says::HalfDone, &values))
}

/// Carries it out.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    if args.report {
        return report::run(args.json, context).await;
    }
    let settings = needed(context)?;
    if args.approve {
        return approve(context);
    }
    let answers = http::get(context.config.listen.admin, "/healthz").await;
    if answers.is_ok() {
        out::complain(&context.say(Says::Runs, &[]));
        return Ok(Exit::Failed);
    }
    let (key, _alone) = (key(settings)?, alone(context)?);
    let unpacked = tail::Unpacked::new(context)?;
    let Some(steps) = steps(args, settings, &key, &unpacked, context).await? else {
        return Ok(Exit::Failed);
    };
    let holds = steps.iter().flat_map(|step| tenants(context, &step.place));
    let name = name_to_type(args.tenant.as_deref(), holds);
    if !is_confirmed(args, name, context)? {
        out::complain(&context.say(Says::NotTyped, &[&Escaped(name)]));
        return Ok(Exit::Failed);
    }
    let approved_by = match settings.two_people {
        true => match second_person(what(&steps), context)? {
            Some(person) => Some(person),
            None => return Ok(Exit::Failed),
        },
        false => None,
    };
    let Some(safe) = keep_safe(args, &steps, settings, context).await? else {
        return Ok(Exit::Failed);
    };
    put_back(&steps, &safe, approved_by, &key, context).await
}

/// Finds the copies, says how old they are, and reads all of each. `None` after a complaint.
async fn steps(
    args: &Args,
    settings: &Backup,
    key: &Secret,
    unpacked: &tail::Unpacked,
    context: &Context,
) -> anyhow::Result<Option<Vec<Step>>> {
    let until = tail::until(args.until.as_deref(), context)?;
    let tenant = context.tenant_if_given(args.tenant.as_deref())?;
    let mut steps = Vec::new();
    for place in databases::places(context, tenant.as_ref()) {
        let Some(copies) = candidates(args, until, &place, settings, context)? else {
            return Ok(None);
        };
        let source = own(&place.target).map_err(|it| told(context, &it))?;
        let to = destination(&place.target, &source);
        let mut chosen = None;
        let mut wrong = None;
        for copy in copies {
            match at_hand(&copy, unpacked, key, &to).await {
                Ok((files, manifest)) => {
                    chosen = Some((copy, files, manifest));
                    break;
                }
                Err(problem) => wrong = Some((copy, problem)),
            }
        }
        match (chosen, wrong) {
            (Some((copy, files, manifest)), wrong) => {
                if let Some((bad, problem)) = wrong {
                    let why = shown(context, &problem);
                    out::remark(&context.say(Says::Other, &[&bad.folder.display(), &why]));
                }
                announce(&copy, &manifest, &place, context)?;
                // The log behind a safety copy is the restore that it was kept from.
                let wanted = tail::Wanted {
                    until,
                    without: args.without_log || copy.store.ends_with(SAFETY),
                };
                let asked =
                    tail::find(&manifest, &source, wanted, settings, key, unpacked, context);
                let Some(tail) = asked.await? else {
                    return Ok(None);
                };
                out::line(&context.say(Says::WillLose, &[]))?;
                steps.push(Step {
                    place,
                    source,
                    copy,
                    files,
                    manifest,
                    tail,
                });
            }
            (None, Some((_, problem))) => {
                let why = shown(context, &problem);
                out::complain(&context.say(Says::Failed, &[&place.label, &why]));
                return Ok(None);
            }
            (None, None) => return Ok(None),
        }
    }
    Ok(Some(steps))
}

/// Reads all of a copy, which is brought here first when it lies elsewhere.
async fn at_hand(
    copy: &Copied,
    unpacked: &tail::Unpacked,
    key: &Secret,
    to: &Destination<'_>,
) -> Result<(Copied, Manifest), Problem> {
    let files = copy.at_hand(&unpacked.0.join("brought"))?;
    let manifest = backup::read_whole(&files, key, to).await?;
    Ok((files, manifest))
}

/// Every copy under a label, and why a location could not be read: the other one may have it.
fn in_each_location(label: &str, settings: &Backup) -> (Vec<Copied>, Option<Problem>) {
    let (mut found, mut broken) = (Vec::new(), None);
    for location in locations(settings) {
        match location.copies(label) {
            Ok(copies) => found.extend(copies),
            Err(problem) => broken = Some(problem),
        }
    }
    (found, broken)
}

/// The wanted copy of a database, in each location that has it.
fn candidates(
    args: &Args,
    until: Option<Timestamp>,
    place: &Place,
    settings: &Backup,
    context: &Context,
) -> anyhow::Result<Option<Vec<Copied>>> {
    let (mut found, mut broken) = in_each_location(&place.label, settings);
    let wanted = match &args.copy {
        Some(name) => {
            if !found.iter().any(|copy| copy.name() == *name) {
                // What an earlier restore kept is put back only by its name, never as the newest.
                let kept = in_each_location(&format!("{}{SAFETY}", place.label), settings);
                found = kept.0;
                broken = broken.or(kept.1);
            }
            Some(name.clone())
        }
        None => {
            // A copy that is younger than the wanted moment holds more than is wanted.
            let early = |copy: &&Copied| until.is_none_or(|until| copy.at <= until);
            let newest = found.iter().filter(early).max_by_key(|copy| copy.at);
            newest.map(Copied::name)
        }
    };
    found.retain(|copy| Some(copy.name()) == wanted);
    if !found.is_empty() {
        return Ok(Some(found));
    }
    if let Some(problem) = broken {
        return Err(told(context, &problem));
    }
    let named = args
        .copy
        .as_ref()
        .map_or_else(String::new, |name| format!(" {name}"));
    let places: Vec<String> = locations(settings).iter().map(Location::shown).collect();
    let values: [&dyn std::fmt::Display; 4] = [
        &place.label,
        &Escaped(&named),
        &places.join(", "),
        &program(),
    ];
    out::complain(&context.say(Says::NoCopy, &values));
    Ok(None)
}

fn announce(
    copy: &Copied,
    manifest: &Manifest,
    place: &Place,
    context: &Context,
) -> anyhow::Result<()> {
    let proven = Evidence::proves(&context.config.state_dir, &place.label, copy.at);
    let proven = context.say(if proven { Says::Proven } else { Says::Unproven }, &[]);
    let age = span(Timestamp::now().duration_since(copy.at));
    let rows = manifest.contents.rows();
    let values: [&dyn std::fmt::Display; 6] = [
        &place.label,
        &copy.name(),
        &age,
        &rows,
        &proven,
        &place.target,
    ];
    out::line(&context.say(Says::Will, &values))?;
    let holds = tenants(context, place);
    if holds.len() > 1 {
        out::line(&context.say(Says::Holds, &[&holds.join(", ")]))?;
    }
    Ok(())
}

/// What a person has to type: the tenant's name only where nobody else's data is put back with it.
fn name_to_type(tenant: Option<&str>, mut holds: impl Iterator<Item = String>) -> &str {
    match tenant {
        Some(tenant) if holds.all(|it| it == tenant) => tenant,
        _ => ALL,
    }
}

/// A person's word: on the command line, or typed.
fn is_confirmed(args: &Args, name: &str, context: &Context) -> anyhow::Result<bool> {
    if let Some(yes) = &args.yes {
        return Ok(yes == name);
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Ok(false);
    }
    out::print(&context.say(Says::TypeName, &[&Escaped(name)]))?;
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    Ok(line.trim() == name)
}

/// What a second person approves: which copies go where.
fn what(steps: &[Step]) -> String {
    let each = steps
        .iter()
        .map(|step| format!("{} {}", step.place.label, step.copy.name()));
    each.collect::<Vec<_>>().join(", ")
}

/// The request that still waits or holds.
fn request(context: &Context) -> Option<Request> {
    let request = Request::read(&context.config.state_dir)?;
    let age = Timestamp::now().duration_since(request.asked_at);
    (age <= APPROVAL).then_some(request)
}

/// Who else approved this; asks for it when nobody did.
pub(super) fn second_person(what: String, context: &Context) -> anyhow::Result<Option<String>> {
    let asked_by = actor();
    let state_dir = &context.config.state_dir;
    let same = request(context).filter(|it| it.what == what && it.asked_by == asked_by);
    if let Some(person) = same.as_ref().and_then(|it| it.approved_by.clone()) {
        // It holds once.
        Request::forget(state_dir);
        return Ok(Some(person));
    }
    if same.is_none() {
        let request = Request {
            what,
            asked_by,
            asked_at: Timestamp::now(),
            approved_by: None,
        };
        request.keep(state_dir).map_err(|it| told(context, &it))?;
    }
    out::complain(&context.say(Says::Asked, &[&program()]));
    Ok(None)
}

fn approve(context: &Context) -> anyhow::Result<Exit> {
    let Some(mut request) = request(context) else {
        out::complain(&context.say(Says::NoRequest, &[]));
        return Ok(Exit::Failed);
    };
    let person = actor();
    if person == request.asked_by {
        out::complain(&context.say(Says::SamePerson, &[&Escaped(&person)]));
        return Ok(Exit::Failed);
    }
    request.approved_by = Some(person.clone());
    let kept = request.keep(&context.config.state_dir);
    kept.map_err(|it| told(context, &it))?;
    let values: [&dyn std::fmt::Display; 3] = [
        &Escaped(&person),
        &Escaped(&request.asked_by),
        &Escaped(&request.what),
    ];
    out::line(&context.say(Says::Approved, &values))?;
    Ok(Exit::Fine)
}

/// Copies what is there, each database under a label of its own. `None` when one could not be and
/// nobody said to go on without.
async fn keep_safe(
    args: &Args,
    steps: &[Step],
    settings: &Backup,
    context: &Context,
) -> anyhow::Result<Option<Vec<Option<PathBuf>>>> {
    let plan = plan_of(settings);
    let mut kept = Vec::new();
    for step in steps {
        let place = &step.place;
        if !is_there(place).await {
            out::line(&context.say(Says::Nothing, &[&place.label]))?;
            kept.push(None);
            continue;
        }
        let taken = match work(place, tenants(context, place), settings, context) {
            Ok(mut work) => {
                work.store += SAFETY;
                // Clients wait for the restore: the machine is for it now.
                work.pace = Pace::Full;
                backup::take(&work, &plan, &context.config.state_dir, Timestamp::now()).await
            }
            Err(problem) => Err(problem),
        };
        match taken {
            Ok(taken) => {
                let folder = taken.copy.folder;
                out::line(&context.say(Says::Safe, &[&place.label, &folder.display()]))?;
                kept.push(Some(folder));
            }
            Err(_) if args.without_safety_copy => kept.push(None),
            Err(problem) => {
                let why = shown(context, &problem);
                out::complain(&context.say(Says::NotSafe, &[&place.label, &why]));
                return Ok(None);
            }
        }
    }
    Ok(Some(kept))
}

/// Whether there is anything to keep: a file, or a database with at least one of our tables. What
/// does not answer counts as there.
async fn is_there(place: &Place) -> bool {
    if databases::is_missing(&place.target) {
        return false;
    }
    if matches!(place.target, Target::Sqlite(_)) {
        return true;
    }
    let Ok(mut engine) = place.target.connect().await else {
        return !is_unknown_database(place).await;
    };
    !matches!(
        schema::state(&mut engine).await,
        Ok(schema::SchemaState::Behind(0))
    )
}

/// True when the server answers and has no such database.
async fn is_unknown_database(place: &Place) -> bool {
    match place.target.connect().await {
        Ok(_) => false,
        Err(failure) => failure.text.contains("1049") || failure.text.contains("Unknown database"),
    }
}

/// The proofs of deletions that the copy brings, where this machine lacks them: a tenant that was
/// deleted stays deleted on a new machine too.
async fn take_over(step: &Step, key: &Secret, context: &Context) -> anyhow::Result<()> {
    let brought = backup::deletions(&step.files, &step.manifest, key).await;
    let brought = brought.map_err(|it| told(context, &it))?;
    if tenant::take_over_proofs(&context.config.state_dir, &brought)? {
        out::line(&context.say(Says::Proofs, &[&step.place.label]))?;
    }
    Ok(())
}

async fn put_back(
    steps: &[Step],
    safe: &[Option<PathBuf>],
    approved_by: Option<String>,
    key: &Secret,
    context: &Context,
) -> anyhow::Result<Exit> {
    let (begun_at, by) = (Timestamp::now(), actor());
    let state_dir = &context.config.state_dir;
    let mut stores = Vec::new();
    for (step, safe) in steps.iter().zip(safe) {
        let (clock, place) = (Instant::now(), &step.place);
        let highest = highest(place, context).await;
        let standing = Standing::of(place, context).await?;
        let to = step.destination();
        take_over(step, key, context).await?;
        let tail = step.tail.as_ref();
        let done = backup::restore(&step.files, &step.manifest, key, &to, tail, state_dir).await;
        if let Err(problem) = done {
            let why = shown(context, &problem);
            out::complain(&context.say(Says::Failed, &[&place.label, &why]));
            return Ok(Exit::Failed);
        }
        leave_mark(place, highest, context).await?;
        standing.go_on(place, &by, context).await?;
        let reached = tail.map_or(step.copy.at, |tail| tail.until.max(step.copy.at));
        tenant::delete_again(place, reached, &by, context).await?;
        Unfinished::end(state_dir, &place.label).map_err(|it| told(context, &it))?;
        let rows = step.manifest.contents.rows();
        let seconds = format!("{:.1}", clock.elapsed().as_secs_f64());
        let values: [&dyn std::fmt::Display; 4] =
            [&place.label, &step.copy.name(), &rows, &seconds];
        out::line(&context.say(Says::Done, &values))?;
        if let Some(tail) = tail {
            let until = moment(tail.until, context);
            out::line(&context.say(Says::Followed, &[&place.label, &until]))?;
        }
        stores.push(RestoredStore {
            store: place.label.clone(),
            copy: step.copy.at,
            folder: step.copy.folder.display().to_string(),
            rows,
            log_until: tail.map(|it| it.until),
            safety_copy: safe.as_ref().map(|it| it.display().to_string()),
        });
    }
    let restored = Restored {
        begun_at,
        finished_at: Timestamp::now(),
        by: by.clone(),
        approved_by,
        stores,
    };
    restored.keep(state_dir).map_err(|it| told(context, &it))?;
    for store in &restored.stores {
        let detail = json!({
            "copy": store.copy.to_string(),
            "folder": store.folder,
            "rows": store.rows,
            "log_until": store.log_until.map(|it| it.to_string()),
            "safety_copy": store.safety_copy,
            "approved_by": restored.approved_by,
        });
        db::note(context, &by, "restore", &store.store, &detail).await;
    }
    out::line(&context.say(Says::Next, &[&program()]))?;
    Ok(Exit::Fine)
}

/// The highest number that this store is known to have given out: by the mirror, and by the
/// database that is about to go.
async fn highest(place: &Place, context: &Context) -> Option<i64> {
    let mirror = databases::mirror(context).await;
    let noted = match &mirror {
        Some(mirror) => mirror.feed_mark(&place.label).await.ok().flatten(),
        None => None,
    };
    let live = if databases::is_missing(&place.target) {
        None
    } else if let Ok(mut engine) = place.target.connect().await {
        feed::head(&mut engine).await.ok()
    } else {
        None
    };
    let known = [noted.map(|it| it.next_seq), live.map(|it| it.next_seq)];
    known.into_iter().flatten().max()
}

/// Brings the tables up to date, and leaves a mark above everything that readers may have seen: the
/// daemon finds the store behind it, opens a new epoch and asks the terminals.
async fn leave_mark(place: &Place, highest: Option<i64>, context: &Context) -> anyhow::Result<()> {
    let (mut engine, _) = databases::open_ready(context, place).await?;
    let fail = |failure: store::Failure| databases::told(context, place, &failure);
    let head = feed::head(&mut engine).await.map_err(fail)?;
    engine.close().await;
    let unknown = head
        .next_seq
        .saturating_add(UNKNOWN_EPOCHS << feed::EPOCH_BITS);
    let above = highest
        .unwrap_or(unknown)
        .max(head.next_seq)
        .saturating_add(1);
    let mark = FeedMark {
        store_id: head.store_id,
        server: head.server,
        next_seq: above,
    };
    if let Some(mirror) = databases::mirror(context).await {
        mirror
            .set_feed_mark(&place.label, &mark)
            .await
            .map_err(fail)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_name_is_enough_only_where_no_other_tenants_data_goes_back_with_it() {
        let typed = |tenant, holds: &[&str]| {
            let holds: Vec<String> = holds.iter().map(ToString::to_string).collect();
            name_to_type(tenant, holds.into_iter()).to_owned()
        };
        assert_eq!(typed(Some("acme"), &["acme"]), "acme");
        assert_eq!(typed(Some("acme"), &["acme", "beta"]), ALL);
        assert_eq!(typed(None, &["acme"]), ALL);
    }
}
