//! The manifests of the members, and the rules about them: one place for versions, one place
//! for lints, no unsafe code.

use std::fs;

use toml::{Table, Value};

use crate::sources::{self, root, sources};

/// A member of the workspace.
pub(crate) struct Member {
    pub(crate) name: String,
    /// From the root of the workspace, with `/`.
    pub(crate) folder: String,
    pub(crate) manifest: Table,
}

/// When a dependency is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Always,
    Tests,
    Build,
}

/// One line of a manifest's tables of dependencies.
pub(crate) struct Dependency<'a> {
    pub(crate) need: Need,
    pub(crate) name: &'a str,
    pub(crate) value: &'a Value,
}

pub(crate) fn root_manifest() -> Table {
    read("Cargo.toml")
}

pub(crate) fn members() -> Vec<Member> {
    let root = root_manifest();
    let folders = root["workspace"]["members"].as_array();
    let folders = folders.into_iter().flatten().filter_map(Value::as_str);
    folders
        .map(|folder| member(folder, read(&format!("{folder}/Cargo.toml"))))
        .collect()
}

pub(crate) fn member(folder: &str, manifest: Table) -> Member {
    let name = manifest["package"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    Member {
        name,
        folder: folder.to_owned(),
        manifest,
    }
}

fn read(path: &str) -> Table {
    let text = fs::read_to_string(root().join(path));
    let text = text.unwrap_or_else(|error| panic!("{path}: {error}"));
    text.parse()
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

impl Member {
    /// All dependencies, those for single targets too.
    pub(crate) fn dependencies(&self) -> Vec<Dependency<'_>> {
        let targets = self.manifest.get("target").and_then(Value::as_table);
        let targets = targets
            .into_iter()
            .flat_map(Table::values)
            .filter_map(Value::as_table);
        let mut found = Vec::new();
        for table in std::iter::once(&self.manifest).chain(targets) {
            for (section, need) in [
                ("dependencies", Need::Always),
                ("dev-dependencies", Need::Tests),
                ("build-dependencies", Need::Build),
            ] {
                let entries = table
                    .get(section)
                    .and_then(Value::as_table)
                    .into_iter()
                    .flatten();
                found.extend(entries.map(|(key, value)| {
                    let renamed = value.get("package").and_then(Value::as_str);
                    Dependency {
                        need,
                        name: renamed.unwrap_or(key),
                        value,
                    }
                }));
            }
        }
        found
    }
}

/// What a member says about versions that the root should say.
fn own_versions(member: &Member) -> Vec<String> {
    let from_root = |value: &Value| {
        let inherited = value.get("workspace").and_then(Value::as_bool) == Some(true);
        let by_path = value.get("path").is_some() && value.get("version").is_none();
        inherited || by_path
    };
    let own = member
        .dependencies()
        .into_iter()
        .filter(|dependency| !from_root(dependency.value));
    own.map(|dependency| format!("{}: {}", member.folder, dependency.name))
        .collect()
}

/// Whether a member takes the lints of the workspace, all of them and no others.
fn has_the_lints(member: &Member) -> bool {
    let lints = member.manifest.get("lints").and_then(Value::as_table);
    let inherited = |lints: &Table| lints.get("workspace").and_then(Value::as_bool) == Some(true);
    lints.is_some_and(|lints| lints.len() == 1 && inherited(lints))
}

#[test]
fn every_version_of_a_dependency_stands_only_in_the_root() {
    let own: Vec<String> = members().iter().flat_map(own_versions).collect();
    assert!(
        own.is_empty(),
        "write `NAME.workspace = true` and the version in the root: {own:#?}"
    );
}

#[test]
fn a_version_in_a_member_is_found() {
    let text = "[package]\nname = \"x\"\n[dependencies]\na = \"1\"\nb.workspace = true\n\
        c = { path = \"../c\" }\n[dev-dependencies]\nd = { path = \"../d\", version = \"1\" }\n\
        [target.'cfg(unix)'.dependencies]\ne = { version = \"2\" }\n";
    let member = member("crates/x", text.parse().unwrap());
    assert_eq!(
        own_versions(&member),
        ["crates/x: a", "crates/x: d", "crates/x: e"]
    );
}

#[test]
fn every_member_takes_the_lints_of_the_workspace_and_unsafe_code_is_forbidden() {
    let root = root_manifest();
    assert_eq!(
        root["workspace"]["lints"]["rust"]["unsafe_code"].as_str(),
        Some("forbid")
    );
    for member in members() {
        let folder = &member.folder;
        assert!(
            has_the_lints(&member),
            "{folder}/Cargo.toml: write `[lints]\\nworkspace = true`"
        );
    }
}

#[test]
fn a_member_with_lints_of_its_own_is_found() {
    let with = |lints: &str| {
        let text = format!("[package]\nname = \"x\"\n{lints}");
        has_the_lints(&member("crates/x", text.parse().unwrap()))
    };
    assert!(with("[lints]\nworkspace = true\n"));
    assert!(!with(""));
    assert!(!with("[lints.rust]\nunsafe_code = \"allow\"\n"));
}

#[test]
fn no_source_lifts_the_ban_on_unsafe_code() {
    let lifts = |attribute: &syn::Attribute| {
        let list = attribute.meta.require_list();
        list.is_ok_and(|list| sources::words(list.tokens.clone()).contains(&"unsafe_code".into()))
    };
    for source in sources() {
        assert!(!source.syntax.attrs.iter().any(lifts), "{}", source.path);
    }
}
