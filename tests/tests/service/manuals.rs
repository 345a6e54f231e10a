//! Promise: every command that a manual for operators shows was run as it stands there, in an
//! installation like theirs: packages under systemd, MariaDB, clocks of each kind, sentinel and a
//! mail server.
//!
//! What stands for something of the reader's (SERIE, CLIENTE, an address) is filled in by
//! [`FILLED`]; what a command needs before, or how else than with 0 it may end, stands in [`CARE`];
//! what cannot be run here is named with its reason in [`NOT_RUN`] and told loudly. An entry of
//! these lists that no manual needs any more is an error, and so is a command that fails.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use promises::{Container, Postbox, parts, texts, workspace};
use tokio::task::JoinHandle;

mod cases;
mod screens;

use super::post;
use cases::{CARE, Care, EDITOR, ELSEWHERE, FILLED, NOT_RUN, PAGES, PREPARE, WATCHED};

/// Programs of ours and of the system whose commands are looked for in running text.
const NAMED: [&str; 8] = [
    "satellite",
    "sentinel",
    "terminals",
    "systemctl",
    "apt",
    "usermod",
    "sha256sum",
    "journalctl",
];

/// By then everything is installed and runs, and nothing is locked, stopped or restored yet.
const SCREENS_BEFORE: &str = "docs/es/check-list-e-informes.md";

/// A command of a manual.
struct Shown {
    /// As it is typed, filled in.
    line: String,
    /// Where it stands first.
    page: String,
    /// It is named in running text, perhaps without what belongs behind it.
    in_prose: bool,
}

/// The manuals in the order in which somebody follows them.
fn pages() -> Result<Vec<PathBuf>> {
    let mut pages = texts()?;
    pages.retain(|page| page.extension().is_some_and(|end| end == "md"));
    let place = |page: &PathBuf| {
        let name = page.strip_prefix(workspace()).unwrap_or(page);
        PAGES.iter().position(|known| Path::new(known) == name)
    };
    pages.retain(|page| place(page).is_some());
    pages.sort_by_key(place);
    Ok(pages)
}

/// Manuals for operators that are neither followed here nor named with a reason.
fn forgotten() -> Result<Vec<PathBuf>> {
    let mut pages = texts()?;
    pages.retain(|page| {
        let name = page.strip_prefix(workspace()).unwrap_or(page);
        let is = |known: &str| Path::new(known) == name;
        let named = ELSEWHERE.iter().any(|(known, _)| is(known)) || PAGES.iter().any(|it| is(it));
        let for_operators = ["docs/es", "docs/devices"]
            .iter()
            .any(|it| name.starts_with(it));
        for_operators && !named
    });
    Ok(pages)
}

/// Lines of a block that belong together, without what is remarked behind them.
fn whole(lines: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut open = false;
    for line in lines {
        let line = line.split(" # ").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match all.last_mut() {
            Some(last) if open => *last = format!("{} {line}", last.trim_end_matches('\\')),
            _ => all.push(line.to_owned()),
        }
        let last = all.last().map_or("", String::as_str);
        let quoted = last.matches('\'').count() % 2 == 1;
        open = quoted || last.ends_with('\\') || last.ends_with('|');
    }
    all
}

fn filled(line: &str) -> String {
    let mut line = format!(" {line} ");
    for (word, instead) in FILLED {
        line = line.replace(word, instead);
    }
    line.trim().to_owned()
}

/// Every command, blocks before running text. What a block shows again that an earlier page had is
/// left out, unless it starts or stops something.
fn commands() -> Result<Vec<Shown>> {
    let mut all: Vec<Shown> = Vec::new();
    let mut named: Vec<Shown> = Vec::new();
    let mut known = BTreeSet::new();
    for path in pages()? {
        let page = path.strip_prefix(workspace())?.display().to_string();
        let (blocks, prose) = parts(&std::fs::read_to_string(&path)?);
        let shown = |line: &str, in_prose| Shown {
            line: filled(line),
            page: page.clone(),
            in_prose,
        };
        let earlier = known.clone();
        for line in whole(&blocks) {
            let shown = shown(&line, false);
            if !earlier.contains(&shown.line) || shown.line.starts_with("systemctl st") {
                known.insert(shown.line.clone());
                all.push(shown);
            }
        }
        for item in &prose {
            let words: Vec<&str> = item.split_whitespace().collect();
            let ours = words.first().is_some_and(|first| NAMED.contains(first));
            // An alternative is no command to type.
            if ours && words.len() > 1 && !item.contains(['[', '{', '→', '*']) {
                named.push(shown(&words.join(" "), true));
            }
        }
    }
    named.retain(|shown| known.insert(shown.line.clone()));
    all.append(&mut named);
    Ok(all)
}

fn care(line: &str) -> Option<&'static Care> {
    CARE.iter().find(|care| line.starts_with(care.begins))
}

fn not_run(line: &str) -> Option<&'static str> {
    let found = NOT_RUN.iter().find(|(begins, _)| line.starts_with(begins));
    found.map(|(_, why)| *why)
}

/// The system in which the manuals are followed.
async fn prepared(container: &Container) -> Result<Postbox> {
    container.start_mariadb().await?;
    container.lend(&["age", "age-keygen", "curl", "jq"]).await?;
    let postbox = post::outside(container).await?;
    let editor = container.file("/usr/bin/editor");
    // In a minimal system it is a link into nowhere.
    std::fs::remove_file(&editor).ok();
    std::fs::write(&editor, EDITOR)?;
    for (name, text) in cases::FILES {
        std::fs::write(container.file(&format!("/srv/{name}")), text)?;
    }
    let source = container.file("/srv/source");
    std::fs::create_dir_all(source.join("target/release"))?;
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(workspace().join("deploy"))
        .arg(&source)
        .status()?;
    ensure!(copied.success(), "deploy/ could not be copied");
    container.sh(PREPARE).await?;
    Ok(postbox)
}

/// How one command ended, when that is not as it should; it goes into a file of that name.
async fn tried(container: &Container, line: &str, file: &str) -> Result<Option<String>> {
    let care = care(line).copied().unwrap_or_default();
    // Only whoever watches is stopped; the other limit is for what hangs, on a busy machine too.
    let limit = if care.ends == WATCHED { 3 } else { 150 };
    std::fs::write(container.file(&format!("/srv/{file}")), said_yes(line))?;
    let (before, after) = (care.before, care.after);
    let run = match care.typed {
        Some(typed) => format!(
            "printf '{typed}' | timeout --foreground {limit} script --quiet --return --command \"bash /srv/{file}\" /dev/null"
        ),
        None => format!("timeout {limit} bash -o pipefail /srv/{file} </dev/null"),
    };
    let script = format!("cd /srv\n({before}\n{run})\nended=$?\n{after}\nexit $ended\n");
    let output = container.output(&script).await?;
    let ended = output.status.code().unwrap_or(-1);
    if care.ends.contains(&ended) {
        return Ok(None);
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let last: Vec<&str> = said.lines().rev().take(4).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Ok(Some(format!("ends with {ended}: {}", last.join(" ¦ "))))
}

/// The line with the answer that its reader gives to apt.
fn said_yes(line: &str) -> String {
    let line = line.replace("apt install", "apt-get install -y --allow-downgrades");
    line.replace("apt remove", "apt-get remove -y")
        .replace("apt purge", "apt-get purge -y")
}

/// Runs commands, in their order, and keeps what went wrong.
struct Reader {
    container: Arc<Container>,
    /// Where the commands before this one stand.
    page: String,
    /// Those that were not waited for.
    beside: Vec<JoinHandle<Result<Option<String>>>>,
    run: usize,
    wrong: Vec<String>,
}

impl Reader {
    async fn follows(&mut self, shown: &Shown) -> Result<()> {
        let stops = shown.line.starts_with("systemctl ") || shown.line.starts_with("apt");
        if stops || shown.page != self.page {
            self.waits().await?;
            self.page.clone_from(&shown.page);
        }
        self.run += 1;
        let is_beside = care(&shown.line).is_some_and(|care| care.beside);
        let (container, line, page) = (
            Arc::clone(&self.container),
            shown.line.clone(),
            shown.page.clone(),
        );
        let file = if is_beside {
            format!("beside.{}", self.run)
        } else {
            "line".to_owned()
        };
        let work = async move {
            let began = Instant::now();
            let ended = tried(&container, &line, &file).await;
            let ended = ended.with_context(|| line.clone())?;
            println!("{:>6.1} s  {line}", began.elapsed().as_secs_f64());
            Ok(ended.map(|said| format!("{page}: {line}\n    {said}")))
        };
        if is_beside {
            self.beside.push(tokio::spawn(work));
        } else {
            self.wrong.extend(work.await?);
        }
        Ok(())
    }

    async fn waits(&mut self) -> Result<()> {
        for one in std::mem::take(&mut self.beside) {
            self.wrong.extend(one.await??);
        }
        Ok(())
    }
}

/// Entries of the lists that no manual needs any more.
fn stale(commands: &[Shown]) -> Vec<String> {
    let needed = |begins: &str| commands.iter().any(|shown| shown.line.starts_with(begins));
    let mut all: Vec<&str> = CARE.iter().map(|care| care.begins).collect();
    all.extend(NOT_RUN.iter().map(|(begins, _)| *begins));
    all.retain(|begins| !needed(begins));
    all.into_iter().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_a_manual_was_run_as_it_stands_there() -> Result<()> {
    let commands = commands()?;
    ensure!(commands.len() > 150, "only {} were found", commands.len());
    let forgotten = forgotten()?;
    ensure!(forgotten.is_empty(), "nobody follows {forgotten:?}");
    let stale = stale(&commands);
    ensure!(stale.is_empty(), "no manual needs these: {stale:?}");
    let Some(container) = super::installed().await? else {
        return Ok(());
    };
    let _postbox = prepared(&container).await?;
    let mut left = BTreeSet::new();
    let mut before_screens = true;
    let mut reader = Reader {
        container: Arc::new(container),
        page: String::new(),
        beside: Vec::new(),
        run: 0,
        wrong: Vec::new(),
    };
    for shown in &commands {
        if before_screens && shown.page == SCREENS_BEFORE {
            before_screens = false;
            reader.waits().await?;
            let others = screens::compare(&reader.container).await?;
            reader.wrong.extend(others);
        }
        let longer = format!("{} ", shown.line);
        let is_name = |other: &Shown| other.line.starts_with(&longer);
        if let Some(why) = not_run(&shown.line) {
            left.insert(format!("{}: {why}", shown.line));
        } else if shown.in_prose && care(&shown.line).is_none() && commands.iter().any(is_name) {
            // The name of a command that stands somewhere with all its words.
        } else {
            reader.follows(shown).await?;
        }
    }
    reader.waits().await?;
    let (run, wrong) = (reader.run, reader.wrong);
    println!("{run} commands of {} manuals were run", pages()?.len());
    for (page, why) in ELSEWHERE {
        println!("NOT RUN: {page}: {why}");
    }
    for line in &left {
        println!("NOT RUN: {line}");
    }
    ensure!(
        wrong.is_empty(),
        "{} did not end as they should:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}
