//! `sentinel check`: the configuration, what it means, and what it does not protect from.

use std::sync::Arc;

use daemon::exit::Exit;
use sentinel::words;

use super::{Context, connect, out};

pub(crate) const EXAMPLES: &str = "Examples:
  sentinel check
  sentinel check --connect
  sentinel check --config /etc/sentinel/sentinel.toml";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also look at everything once, and say what was seen
    #[arg(long)]
    connect: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let warnings = warnings(context);
    let all = sentinel::looks::all(&context.config, &Arc::default());
    let looks: Vec<String> = all.iter().map(|look| look.name().to_owned()).collect();
    let seen = if args.connect {
        connect::look_once(context, &all).await
    } else {
        Vec::new()
    };
    let enrolments = connect::enrolments(context, &seen);
    if args.json {
        let answer = serde_json::json!({
            "looks": looks, "warnings": warnings, "seen": seen, "to_type": enrolments,
        });
        out::json(&answer)?;
        return Ok(Exit::Fine);
    }
    summary(context, &looks)?;
    let config = &context.config;
    for level in &config.levels {
        let after = words::seconds_text(level.after.as_secs_f64());
        let who: Vec<&str> = level
            .to
            .iter()
            .map(|contact| contact.to.address())
            .collect();
        out::line(&format!("{} (+{after}): {}", level.name, who.join(", ")))?;
    }
    if args.connect {
        connect::print(context, &seen)?;
    }
    if !enrolments.is_empty() {
        out::line(context.say(
            "Si la checada de prueba aún no está registrada, en el servidor del Programa Satélite:",
            "If the canary is not enrolled yet, on satellite's machine:",
        ))?;
    }
    for command in enrolments {
        out::line(&format!("    {command}"))?;
    }
    for warning in warnings {
        out::line(&format!("! {warning}"))?;
    }
    Ok(Exit::Fine)
}

/// What the configuration comes to, in a few lines.
fn summary(context: &Context, looks: &[String]) -> anyhow::Result<()> {
    let config = &context.config;
    let file = config.file.as_ref().map_or_else(
        || {
            context
                .say("valores de fábrica", "built-in defaults")
                .to_owned()
        },
        |file| file.display().to_string(),
    );
    let count = looks.len().to_string();
    let rows = [
        vec![
            context.say("Carpeta de estado", "State folder").to_owned(),
            config.state_dir.display().to_string(),
        ],
        vec![
            context
                .say("Puerta de administración", "Admin door")
                .to_owned(),
            config.admin.to_string(),
        ],
        vec![
            context.say("Clientes", "Clients").to_owned(),
            config.tenants().collect::<Vec<_>>().join(", "),
        ],
        vec![
            context.say("Revisiones", "Checks").to_owned(),
            format!("{count}: {}", looks.join(", ")),
        ],
    ];
    out::print(&out::table(
        &[context.say("Configuración", "Configuration"), &file],
        &rows,
    ))?;
    Ok(())
}

/// What the configuration does not protect from.
fn warnings(context: &Context) -> Vec<&'static str> {
    let config = &context.config;
    let local =
        |url: &str| url.contains("127.0.0.1") || url.contains("localhost") || url.contains("[::1]");
    let same = config.watch.satellite_admin.as_deref().is_some_and(local);
    let relays = config.mail.as_ref().map_or(0, |mail| mail.relays.len());
    let tests = [
        (
            config.levels.is_empty(),
            "nadie será avisado: falta [[level]]",
            "nobody is told: there is no [[level]]",
        ),
        (
            same,
            "Sentinela está en el mismo servidor que el Programa Satélite: no puede avisar si ese servidor se apaga; instálelo en otro, o use heartbeat_url",
            "sentinel is on the same machine as satellite: it cannot tell when that machine is gone; install it on another, or use heartbeat_url",
        ),
        (
            config.heartbeat_url.is_none(),
            "nadie nota si Sentinela se apaga: falta heartbeat_url",
            "nobody notices when sentinel is gone: there is no heartbeat_url",
        ),
        (
            relays == 1,
            "hay un solo servidor de correo: si falla, los avisos esperan",
            "there is only one mail relay: when it fails, alerts wait",
        ),
        (
            config.public_url.is_none(),
            "los correos no llevan enlace para «Enterado, lo atiendo»: falta public_url",
            "mails carry no link to acknowledge: there is no public_url",
        ),
        (
            config.watch.stores.is_empty(),
            "no se revisa ninguna base de datos: falta [[watch.store]]",
            "no database is looked at: there is no [[watch.store]]",
        ),
        (
            config.watch.terminal_urls.is_empty(),
            "no hay checadas de prueba: falta [[watch.terminal_url]]",
            "there are no canary punches: there is no [[watch.terminal_url]]",
        ),
        (
            config
                .watch
                .stores
                .iter()
                .any(|store| store.canaries.is_empty()),
            "una base de datos no tiene checada de prueba: falta canary en su [[watch.store]]",
            "a database has no canary: there is no key canary in its [[watch.store]]",
        ),
    ];
    let told = tests.into_iter().filter(|(wrong, ..)| *wrong);
    told.map(|(_, es, en)| context.say(es, en)).collect()
}
