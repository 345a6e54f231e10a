//! Opening databases for a command.
//!
//! A command that reads never makes a table or a file; one that changes something brings the
//! schema up to date first, as `satellite run` would. What is wrong with a database is said
//! with its address, the trouble's name (the one in the manual) and the server's own words.

use std::sync::Arc;
use std::time::Duration;

use event::TenantId;
use store::registry::{self, Enrolment};
use store::schema::{self, SchemaState};
use store::{AnyEngine, Failure, Gate, Mirror, Observer, Target, Trouble, Writer};

use super::words::{Speaks as _, Word};
use super::{Context, out, wrong_setup};

/// One database with the label it has in metrics and in the mirror.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    pub(crate) label: String,
    pub(crate) target: Target,
}

/// The database that holds the registry.
pub(crate) fn registry_place(context: &Context) -> Place {
    Place {
        label: satellite::config::STORE_LABEL.to_owned(),
        target: context.config.registry_target().clone(),
    }
}

/// The database of one tenant, or all of them.
pub(crate) fn places(context: &Context, tenant: Option<&TenantId>) -> Vec<Place> {
    let stores = context.config.stores().into_iter();
    let all = stores.map(|(label, target)| Place { label, target });
    match tenant.map(|tenant| context.config.target(tenant)) {
        Some(wanted) => all.filter(|place| Some(&place.target) == wanted).collect(),
        None => all.collect(),
    }
}

/// Says which database failed and how.
pub(crate) fn told(context: &Context, place: &Place, failure: &Failure) -> anyhow::Error {
    let trouble = context.lang.term(failure.trouble().as_str());
    let text = context.lang.detail(&failure.text);
    anyhow::anyhow!(context.say(
        Word::StoreTrouble,
        &[&place.target, &place.label, &trouble, &text]
    ))
}

/// Opens a database for reading.
///
/// # Errors
/// It cannot be reached, or its tables are not there yet or too old.
pub(crate) async fn open(context: &Context, place: &Place) -> anyhow::Result<AnyEngine> {
    let behind = |version: i64| {
        let program = super::program();
        anyhow::anyhow!(context.say(
            Word::SchemaBehind,
            &[&place.target, &version, &schema::VERSION, &program]
        ))
    };
    if is_missing(&place.target) {
        return Err(behind(0));
    }
    let (engine, state) = connect(context, place).await?;
    match state {
        SchemaState::Current => Ok(engine),
        SchemaState::Behind(version) => Err(behind(version)),
    }
}

/// A connection, and how far its tables are.
async fn connect(context: &Context, place: &Place) -> anyhow::Result<(AnyEngine, SchemaState)> {
    let fail = |failure: Failure| told(context, place, &failure);
    let mut engine = place.target.connect().await.map_err(fail)?;
    let state = schema::state(&mut engine).await.map_err(fail)?;
    Ok((engine, state))
}

/// True for a SQLite file that is not there: opening it would make it.
pub(crate) fn is_missing(target: &Target) -> bool {
    matches!(target, Target::Sqlite(path) if !path.exists())
}

/// Opens a database for a change; makes or updates its tables when needed. True when it did.
///
/// # Errors
/// It cannot be reached, or this user may not make tables (a matter of configuration).
pub(crate) async fn open_ready(
    context: &Context,
    place: &Place,
) -> anyhow::Result<(AnyEngine, bool)> {
    make_state_dir(context)?;
    let (mut engine, state) = connect(context, place).await?;
    match state {
        SchemaState::Current => Ok((engine, false)),
        SchemaState::Behind(_) => match schema::migrate(&mut engine).await {
            Ok(()) => Ok((engine, true)),
            Err(failure) if failure.trouble() == Trouble::Denied => {
                let message = context.say(Word::MigrationDenied, &[&failure.text]);
                Err(wrong_setup(place.target.to_string(), &message))
            }
            Err(failure) => Err(told(context, place, &failure)),
        },
    }
}

fn make_state_dir(context: &Context) -> anyhow::Result<()> {
    use anyhow::Context as _;
    let folder = &context.config.state_dir;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("the state folder {} cannot be made", folder.display()))
}

/// The mirror, when there is a state folder; a command can do without.
pub(crate) async fn mirror(context: &Context) -> Option<Mirror> {
    let folder = &context.config.state_dir;
    if !folder.is_dir() {
        return None;
    }
    match Mirror::open(folder).await {
        Ok(mirror) => Some(mirror),
        Err(failure) => {
            out::complain(&context.say(
                Word::MirrorTrouble,
                &[&folder.display(), &context.lang.detail(&failure.text)],
            ));
            None
        }
    }
}

/// Nobody watches a command's writer but the command that waits for it.
struct Silent;

impl Observer for Silent {
    fn committed(&self, _: Duration, _: usize) {}
    fn troubled(&self, _: Trouble, _: &str) {}
    fn recovered(&self) {}
    fn new_epoch(&self, _: i64) {}
}

/// The way into a database, for a command that stores events; and the mirror, which it needs.
///
/// # Errors
/// There is no state folder.
pub(crate) async fn writer(context: &Context, place: &Place) -> anyhow::Result<(Writer, Mirror)> {
    let Some(mirror) = mirror(context).await else {
        let folder = context.config.state_dir.display();
        anyhow::bail!(context.say(Word::MirrorNeeded, &[&folder]));
    };
    let (target, gate) = (place.target.clone(), Gate::new(1));
    let writer = Writer::spawn(&place.label, target, mirror.clone(), gate, Arc::new(Silent));
    Ok((writer, mirror))
}

/// Every active enrolment: from the registry, or with a remark from its copy in the state
/// folder when the registry does not answer.
///
/// # Errors
/// Neither can be read.
pub(crate) async fn enrolments(context: &Context) -> anyhow::Result<Vec<Enrolment>> {
    let place = registry_place(context);
    let read = match open(context, &place).await {
        Ok(mut engine) => registry::all(&mut engine)
            .await
            .map_err(|failure| told(context, &place, &failure)),
        Err(error) => Err(error),
    };
    let error = match read {
        Ok(enrolments) => return Ok(enrolments),
        Err(error) => error,
    };
    let Some(mirror) = mirror(context).await else {
        return Err(error);
    };
    match mirror.enrolments().await {
        Ok(copy) if !copy.is_empty() => {
            out::complain(&context.say(Word::FromCopy, &[&error]));
            Ok(copy)
        }
        _ => Err(error),
    }
}
