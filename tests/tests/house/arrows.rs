//! Who may depend on whom.
//!
//! The table is the architecture: what it does not name is forbidden. Outside of tests the
//! arrows point from the programs down to `event`; tests of any crate may use a private
//! MariaDB server as well.

use crate::manifests::{Member, Need, member, members};

/// Stands for every member under `protocols/`.
const PROTOCOLS: &str = "protocols/*";
/// What tests of every crate may use.
const FOR_TESTS: &str = "mariadb";

/// Each member by name, and the members on which it may depend. Those under `protocols/` all
/// follow one rule: `event` only, never each other.
const ARROWS: &[(&str, &[&str])] = &[
    (PROTOCOLS, &["event"]),
    ("event", &[]),
    ("store", &["event"]),
    ("backup", &["store", "daemon"]),
    ("daemon", &[]),
    ("notify", &["daemon"]),
    ("console", &[]),
    ("fetch", &[]),
    ("mqtt", &[]),
    ("mariadb", &[]),
    ("terminals", &["event", "console", PROTOCOLS]),
    (
        "satellite",
        &[
            "event",
            "store",
            "backup",
            "daemon",
            "console",
            "notify",
            "fetch",
            "mqtt",
            "terminals",
            PROTOCOLS,
        ],
    ),
    (
        "sentinel",
        &[
            "event", "notify", "fetch", "mqtt", "daemon", "console", PROTOCOLS,
        ],
    ),
    ("xtask", &["mariadb"]),
    (
        "promises",
        &[
            "event",
            "store",
            "daemon",
            "terminals",
            "satellite",
            "mariadb",
            PROTOCOLS,
        ],
    ),
    (
        "benches",
        &[
            "event",
            "store",
            "daemon",
            "terminals",
            "satellite",
            "mariadb",
            PROTOCOLS,
            "promises",
        ],
    ),
];

/// The name under which a member stands in the table.
fn role(member: &Member) -> &str {
    if member.folder.starts_with("protocols/") {
        PROTOCOLS
    } else {
        &member.name
    }
}

/// Every arrow that the table does not allow, and every member that it does not know.
fn wrong_arrows(members: &[Member]) -> Vec<String> {
    let mut wrong = Vec::new();
    for from in members {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == role(from)) else {
            wrong.push(format!(
                "{} is new: give it a line in ARROWS, with as few arrows as it can live on",
                from.name
            ));
            continue;
        };
        for dependency in from.dependencies() {
            let Some(to) = members.iter().find(|to| to.name == dependency.name) else {
                continue;
            };
            let for_tests = dependency.need == Need::Tests && to.name == FOR_TESTS;
            if !for_tests && !allowed.contains(&role(to)) {
                wrong.push(format!("{} must not depend on {}", from.name, to.name));
            }
        }
    }
    wrong
}

#[test]
fn only_the_arrows_of_the_house_exist() {
    let wrong = wrong_arrows(&members());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_arrow_against_the_rule_is_found() {
    let made = |folder: &str, name: &str, dependencies: &str| {
        let text = format!("[package]\nname = \"{name}\"\n{dependencies}");
        member(folder, text.parse().unwrap())
    };
    let members = [
        made("crates/event", "event", ""),
        made("crates/mariadb", "mariadb", ""),
        made(
            "protocols/a",
            "a",
            "[dependencies]\nevent.workspace = true\nb.workspace = true\n",
        ),
        made(
            "protocols/b",
            "b",
            "[dev-dependencies]\nmariadb.workspace = true\n",
        ),
        made(
            "crates/store",
            "store",
            "[dependencies]\nmariadb.workspace = true\n",
        ),
        made(
            "crates/daemon",
            "daemon",
            "[build-dependencies]\ne = { package = \"event\" }\n",
        ),
        made("crates/novelty", "novelty", ""),
    ];
    let wrong = wrong_arrows(&members);
    assert_eq!(wrong.len(), 4, "{wrong:#?}");
    assert_eq!(wrong[0], "a must not depend on b");
    assert_eq!(wrong[1], "store must not depend on mariadb");
    assert_eq!(wrong[2], "daemon must not depend on event");
    assert!(wrong[3].starts_with("novelty is new"), "{}", wrong[3]);
}
