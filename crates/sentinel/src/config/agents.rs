//! `[[agent]]`: machines that send their facts, each with its token, and under which hosts the
//! rest of the file knows them. A token names one machine and no other.

use daemon::config::{ConfigError, Secret, Source};
use serde::Deserialize;

use super::looks::{plain, secret};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAgent {
    name: String,
    token_file: String,
    #[serde(default)]
    addresses: Vec<String>,
}

/// Each machine with the hosts by which it is known; its own name is one.
pub(super) fn machines(raws: &[RawAgent]) -> Vec<(String, Vec<String>)> {
    let one = |raw: &RawAgent| {
        let known = std::iter::once(&raw.name).chain(&raw.addresses);
        (raw.name.clone(), known.cloned().collect())
    };
    raws.iter().map(one).collect()
}

/// Checks names and tokens.
pub(super) fn checked(
    source: &Source,
    raws: Vec<RawAgent>,
) -> Result<Vec<(String, Secret)>, ConfigError> {
    let mut agents: Vec<(String, Secret)> = Vec::with_capacity(raws.len());
    for (index, raw) in raws.into_iter().enumerate() {
        let key = |key: &str| format!("agent[{index}].{key}");
        let name = plain(source, &key("name"), &raw.name)?;
        let token = secret(source, &key("token_file"), &raw.token_file)?;
        if token.expose().trim().len() < 16 {
            let message = (
                "the token must have at least 16 characters",
                "la clave debe tener al menos 16 caracteres",
            );
            return Err(source.error(&key("token_file"), message));
        }
        if agents
            .iter()
            .any(|(known, same)| *known == name || *same == token)
        {
            let message = (
                "another [[agent]] has this name or this token",
                "otro [[agent]] tiene este nombre o esta clave",
            );
            return Err(source.error(&key("name"), message));
        }
        agents.push((name, token));
    }
    Ok(agents)
}
