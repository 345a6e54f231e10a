//! `[edge]`: the satellite that gets everything which this one takes in, and the token it knows us by.
//!
//! Two values make an edge; the rest is a satellite like any other. The token is read from its file
//! and never written into the configuration. What is delivered is an output with a name of its own,
//! which begins with the first event ever stored and gives nothing up. Nothing here connects.

use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::config::{ConfigError, Said, Secret, Source, secret_file, secret_places};
use fetch::{Trust, Url};
use serde::Deserialize;

use super::{Config, Output, Receiver, SECRETS_FOLDER, Tenant};

/// What the command line gives: a file, and perhaps that this is an edge.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The file, if one is named.
    pub file: Option<PathBuf>,
    /// That this is an edge.
    pub edge: Option<AsEdge>,
}

/// An edge, with what stands in place of its `[edge]`.
#[derive(Debug, Clone, Default)]
pub struct AsEdge {
    /// `--to`.
    pub to: Option<Url>,
    /// `--token-file`.
    pub token_file: Option<PathBuf>,
}

impl Given {
    /// Reads and checks the configuration.
    ///
    /// # Errors
    /// As [`Config::load`]; and what is wrong with the options.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let mut config = Config::load(self.file.as_deref())?;
        if let Some(edge) = &self.edge {
            config.make_edge(edge)?;
        }
        Ok(config)
    }
}

/// The name of the output that an edge delivers by.
pub(crate) const OUTPUT: &str = "edge";
/// Events in one delivery.
const BATCH: usize = 500;
/// Nothing is given up: longer than any edge lives.
pub(super) const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Shortest token, in bytes; those that satellite draws have 32.
const TOKEN_LEAST: usize = 16;

/// `[edge]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The other satellite's door for terminals, as terminals would be given it.
    pub to: Url,
    /// What it knows us by.
    pub token: Secret,
    /// It may be in an inner network, and be spoken to in plain HTTP.
    pub allow_internal: bool,
    /// Authorities whose certificates are good besides the public ones, as PEM.
    pub authorities: Option<String>,
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEdge {
    to: Url,
    token_file: String,
    #[serde(default)]
    allow_internal: bool,
    ca_file: Option<String>,
}

/// Checks the table.
pub(super) fn checked(source: &Source, raw: RawEdge) -> Result<Edge, ConfigError> {
    let wrong = |key: &str| {
        let key = format!("edge.{key}");
        move |said: Said| source.error(&key, said)
    };
    let authorities = raw.ca_file.as_deref().map(authorities).transpose();
    let token = secret_file(&raw.token_file, &secret_places(Path::new(SECRETS_FOLDER)));
    let edge = Edge {
        to: raw.to,
        token: token.map_err(|why| source.error("edge.token_file", why))?,
        allow_internal: raw.allow_internal,
        authorities: authorities.map_err(wrong("ca_file"))?,
    };
    addressed(&edge).map_err(wrong("to"))?;
    worth_it(&edge.token).map_err(wrong("token_file"))?;
    Ok(edge)
}

impl Config {
    /// Makes an edge of this configuration, with what was given on the command line in place of
    /// what its `[edge]` says.
    fn make_edge(&mut self, given: &AsEdge) -> Result<(), ConfigError> {
        let token = given.token_file.as_deref().map(token).transpose()?;
        let edge = match (self.edge.take(), given.to.clone(), token) {
            (Some(edge), to, token) => Edge {
                to: to.unwrap_or(edge.to),
                token: token.unwrap_or(edge.token),
                ..edge
            },
            (None, Some(to), Some(token)) => Edge {
                to,
                token,
                allow_internal: false,
                authorities: None,
            },
            (None, ..) => {
                let said = (
                    "an edge needs to and token_file under [edge], or --to and --token-file",
                    "un equipo remoto necesita to y token_file en [edge], o --to y --token-file",
                );
                return Err(ConfigError::about("edge", said));
            }
        };
        addressed(&edge).map_err(|said| ConfigError::about("--to", said))?;
        worth_it(&edge.token).map_err(|said| ConfigError::about("--token-file", said))?;
        self.outputs
            .retain(|one| !matches!(one.to, Receiver::Edge(_)));
        let output = output(&edge, &self.tenants, &self.outputs);
        let output = output.map_err(|said| ConfigError::about("edge", said))?;
        self.outputs.push(output);
        self.edge = Some(edge);
        Ok(())
    }
}

/// The token in a file of the command line: one that is there, or a name among the secrets.
fn token(file: &Path) -> Result<Secret, ConfigError> {
    let there = std::path::absolute(file).ok().filter(|file| file.exists());
    let name = there.unwrap_or_else(|| file.to_path_buf());
    secret_file(
        &name.to_string_lossy(),
        &secret_places(Path::new(SECRETS_FOLDER)),
    )
}

/// What delivers to that satellite. An edge's token is one tenant's, and so is the edge.
pub(super) fn output(edge: &Edge, tenants: &[Tenant], others: &[Output]) -> Result<Output, Said> {
    let [tenant] = tenants else {
        return Err(Said::from((
            "an edge is one tenant's; leave one [[tenant]]",
            "un equipo remoto es de un solo cliente; deje un [[tenant]]",
        )));
    };
    if others.iter().any(|one| one.name == OUTPUT) {
        return Err(Said::from((
            "an [[output]] has the name 'edge', which is that of what an edge delivers by",
            "un [[output]] se llama 'edge', que es el nombre de la salida de un equipo remoto",
        )));
    }
    Ok(Output {
        name: OUTPUT.to_owned(),
        tenant: tenant.id.clone(),
        kinds: Vec::new(),
        batch: BATCH,
        give_up_after: NEVER,
        from_start: true,
        to: Receiver::Edge(edge.clone()),
    })
}

fn addressed(edge: &Edge) -> Result<(), Said> {
    if !edge.to.is_encrypted() && !edge.allow_internal {
        return Err(Said::from((
            "must begin with https://; http:// is for inner networks, with allow_internal = true under [edge]",
            "debe empezar con https://; http:// es para redes internas, con allow_internal = true en [edge]",
        )));
    }
    if edge.to.path().contains('?') {
        return Err(Said::from((
            "is the address alone, as terminals are given it; the token stands in its file",
            "es solo la dirección, como la que se da a los dispositivos; el token va en su archivo",
        )));
    }
    Ok(())
}

fn worth_it(token: &Secret) -> Result<(), Said> {
    let text = token.expose();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if text.len() >= TOKEN_LEAST && text.bytes().all(allowed) {
        return Ok(());
    }
    Err(Said::from((
        "holds no token; it is what `satellite devices add --vendor satellite --listen` printed over there",
        "no contiene un token; es lo que allá imprimió `satellite devices add --vendor satellite --listen`",
    )))
}

fn authorities(file: &str) -> Result<String, Said> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
    let pem = text.and_then(|text| Trust::with(&text).map(|_| text));
    pem.map_err(|why| {
        let en = format!("no certificates can be read there: {why}");
        let es = format!("ahí no se pueden leer certificados: {why}");
        Said::new(en, es)
    })
}
