//! What a package brings besides its program is there and of use: manual pages and examples in both
//! languages, completion that knows the commands.

use anyhow::{Result, ensure};
use promises::Container;

use super::installed;

/// Programs that people type, and the package that brings each.
const PROGRAMS: [(&str, &str); 3] = [
    ("satellite", "satellite"),
    ("terminals", "satellite"),
    ("sentinel", "sentinel"),
];

/// Each command of the program has its page in both languages, and they are not the same.
async fn manuals(container: &Container, program: &str) -> Result<()> {
    let pages =
        |folder: &str| format!("cd /usr/share/man/{folder}man1 && ls {program}.1* {program}-*.1*");
    let english = container.sh(&pages("")).await?;
    ensure!(container.sh(&pages("es/")).await? == english, "{program}");
    let commands =
        format!("{program} --help | sed -n '/^Commands:/,/^$/s/^  \\([a-z][a-z-]*\\) .*/\\1/p'");
    let commands = container.sh(&commands).await?;
    let listed = commands.lines().filter(|it| *it != "help");
    for command in listed.clone() {
        let page = format!("{program}-{command}.1");
        ensure!(english.contains(&page), "no {page} in {english}");
    }
    ensure!(listed.count() >= 2, "{program}: {commands}");
    for page in english.lines() {
        let differ =
            format!("! cmp --silent /usr/share/man/man1/{page} /usr/share/man/es/man1/{page}");
        container.sh(&differ).await?;
    }
    Ok(())
}

/// What bash offers behind the program's name, and that the other shells have their files.
async fn completion(container: &Container, program: &str) -> Result<()> {
    let offer = format!(
        ". /usr/share/bash-completion/completions/{program}; COMP_WORDS=({program} \"\"); COMP_CWORD=1; \
         _{program} {program} \"\" {program}; echo ${{COMPREPLY[@]}}"
    );
    let offered = container.sh(&format!("bash -c '{offer}'")).await?;
    ensure!(
        offered.contains("help") && offered.contains("run"),
        "{program}: {offered}"
    );
    let others = format!(
        "grep -q run /usr/share/zsh/vendor-completions/_{program} && \
         grep -q run /usr/share/fish/vendor_completions.d/{program}.fish"
    );
    container.sh(&others).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_brings_pages_completion_and_examples_that_work_in_both_languages() -> Result<()>
{
    let Some(container) = installed().await? else {
        return Ok(());
    };
    container.install("sentinel", 1).await?;
    for (program, package) in PROGRAMS {
        manuals(&container, program).await?;
        completion(&container, program).await?;
        for language in ["", "es/"] {
            let example = format!("/usr/share/doc/{package}/examples/{language}{package}.toml");
            container
                .sh(&format!("{package} check --config {example}"))
                .await?;
        }
    }
    Ok(())
}
