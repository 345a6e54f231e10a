//! `terminals replay`: a recording from the command line, and what was answered otherwise.
//!
//! The exit status says whether everything was answered as it was recorded. How a recording is read
//! and played is the library's matter.

use std::path::PathBuf;
use std::process::ExitCode;

use console::Lang;
use terminals::Target;
use terminals::replay::{self, Play, Played, Recording};

/// Answers shown that differ.
const SHOWN: usize = 20;

/// What is played, and against whom.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The recording, made by `satellite devices record`
    file: PathBuf,
    /// Server, http://host:port[/prefix] [default: http://127.0.0.1:8081]
    #[arg(long, value_name = "URL")]
    target: Option<Target>,
    /// A serial that the server has enrolled [default: the one in the recording]
    #[arg(long, value_name = "SN")]
    serial: Option<event::Serial>,
    /// With the pauses of the recording, at most a minute each
    #[arg(long)]
    paced: bool,
}

/// Plays a recording and says what was answered otherwise.
pub(crate) fn play(args: Args, lang: Lang) -> anyhow::Result<ExitCode> {
    let recording = Recording::read(&args.file)?;
    let how = Play {
        target: args.target.unwrap_or_default(),
        serial: args.serial.map(|serial| serial.as_str().to_owned()),
        paced: args.paced,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let played = runtime.block_on(replay::play(&recording, &how));
    let serial = how.serial.as_deref().unwrap_or_else(|| recording.serial());
    println!("{}", told(&played, serial, lang));
    Ok(match played.otherwise.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn told(played: &Played, serial: &str, lang: Lang) -> String {
    let Played {
        sent,
        left_out,
        otherwise,
    } = played;
    let differ = otherwise.len();
    let mut said = lang.pick(
        format!("{serial}: {sent} peticiones enviadas, {differ} con otra respuesta, {left_out} sin contenido grabado"),
        format!("{serial}: {sent} requests sent, {differ} answered otherwise, {left_out} without a recorded body"),
    );
    for one in otherwise.iter().take(SHOWN) {
        let (line, request, was, now) = (one.line, &one.request, one.recorded, one.now);
        said += &lang.pick(
            format!("\n  renglón {line}: {request}: antes {was}, ahora {now}"),
            format!("\n  line {line}: {request}: {was} then, {now} now"),
        );
    }
    if otherwise
        .iter()
        .any(|one| matches!(one.now, 401 | 403 | 503))
    {
        said += &lang.pick(
            format!("\n¿Está dado de alta? satellite devices approve {serial} --tenant CLIENTE"),
            format!("\nIs it enrolled? satellite devices approve {serial} --tenant TENANT"),
        );
    }
    said
}
