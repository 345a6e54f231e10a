//! Secrets: read from files, held behind a wall, wiped when dropped.
//!
//! A secret never stands in the configuration, on a command line or in the environment. It
//! is named there; the name is looked up among systemd's credentials first and in a folder
//! under `/etc` then. A file that everybody on the machine can read is refused, because nobody
//! would notice otherwise.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{ConfigError, Said};

/// Longest secret accepted, in bytes; a key file with its chain fits.
const LIMIT: u64 = 64 * 1024;

/// A password or a key. Debug shows `***`; the memory is overwritten when it is dropped, as
/// far as a program can without `unsafe`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text into custody.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        // Without a reader the compiler may leave the overwriting out.
        std::hint::black_box(&bytes);
    }
}

/// Where bare names are looked up: `$CREDENTIALS_DIRECTORY`, when systemd set it, then
/// `folder`, for example `/etc/satellite/secrets`.
pub fn secret_places(folder: &Path) -> Vec<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY")
        .map(PathBuf::from)
        .into_iter()
        .chain([folder.to_path_buf()])
        .collect()
}

/// Reads a secret. An absolute path is read as it is, a bare name is looked up in `places`
/// in order. One line break at the end is taken off.
///
/// # Errors
/// Not found, not readable, readable by everybody (with the command that mends it), empty,
/// larger than 64 KiB, or not text.
pub fn secret_file(name: &str, places: &[PathBuf]) -> Result<Secret, ConfigError> {
    if Path::new(name).is_absolute() {
        return match read(Path::new(name))? {
            Some(secret) => Ok(secret),
            None => Err(ConfigError::about(
                name,
                (
                    "the secret's file does not exist",
                    "el archivo de la contraseña no existe",
                ),
            )),
        };
    }
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(ConfigError::about(
            name,
            (
                "a secret is named by an absolute path or by a bare file name",
                "una contraseña se nombra con una ruta absoluta o con un nombre de archivo sin ruta",
            ),
        ));
    }
    for place in places {
        if let Some(secret) = read(&place.join(name))? {
            return Ok(secret);
        }
    }
    let looked: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
    let looked = looked.join(", ");
    Err(ConfigError::about(
        name,
        Said::new(
            format!("no secret of this name was found; looked in {looked}"),
            format!("no hay ninguna contraseña con este nombre; se buscó en {looked}"),
        ),
    ))
}

/// When the file of a secret was last written, to notice that somebody mended it; `None` when
/// there is none.
pub fn secret_written_at(name: &str, places: &[PathBuf]) -> Option<SystemTime> {
    // An absolute path stays what it is when it is joined.
    let mut files = places.iter().map(|place| place.join(name));
    files.find_map(|file| file.metadata().ok()?.modified().ok())
}

/// Reads one file; `None` when there is none.
fn read(path: &Path) -> Result<Option<Secret>, ConfigError> {
    let shown = path.display().to_string();
    let wrong = |message: Said| ConfigError::about(&shown, message);
    let unreadable = |error: io::Error| {
        let mut message = Said::new(
            format!("the secret cannot be read: {error}"),
            format!("la contraseña no se puede leer: {error}"),
        );
        if error.kind() == io::ErrorKind::PermissionDenied {
            message.en += "; its group must be that of the service and able to read it (0640)";
            message.es += "; su grupo debe ser el del servicio y poder leerla (0640)";
        }
        wrong(message)
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(wrong(Said::new(
            "the secret is not a regular file",
            "la contraseña no está en un archivo normal",
        )));
    }
    if metadata.permissions().mode() & 0o007 != 0 {
        return Err(wrong(Said::new(
            format!(
                "everybody on this machine can read or change this secret; run: chmod o-rwx \
                 '{shown}'"
            ),
            format!(
                "cualquiera en este equipo puede leer o cambiar esta contraseña; ejecute: chmod \
                 o-rwx '{shown}'"
            ),
        )));
    }
    // The buffer is made large enough at once: growing would leave copies behind.
    let size = usize::try_from(metadata.len().min(LIMIT)).unwrap_or_default();
    let mut bytes = Vec::with_capacity(size + 64);
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LIMIT {
        return Err(wrong(Said::new(
            "the secret is larger than 64 KiB",
            "la contraseña pasa de 64 KiB",
        )));
    }
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    if bytes.is_empty() {
        return Err(wrong(Said::new(
            "the secret is empty",
            "el archivo de la contraseña está vacío",
        )));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(Secret(text))),
        Err(_) => Err(wrong(Said::new(
            "the secret is not text",
            "la contraseña no es texto",
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    fn write(path: &Path, content: &[u8], mode: u32) {
        std::fs::write(path, content).unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn folders() -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let places = ["credentials", "secrets"].map(|name| folder.path().join(name));
        for place in &places {
            std::fs::create_dir(place).unwrap();
        }
        (folder, places.to_vec())
    }

    #[test]
    fn a_bare_name_is_looked_up_among_the_credentials_first() {
        let (_folder, places) = folders();
        write(&places[1].join("mysql"), b"second\n", 0o640);
        let read = || secret_file("mysql", &places).unwrap();
        assert_eq!(read().expose(), "second");
        write(&places[0].join("mysql"), b"first", 0o400);
        assert_eq!(read().expose(), "first");
    }

    #[test]
    fn an_absolute_path_is_read_as_it_is() {
        let (folder, places) = folders();
        let path = folder.path().join("elsewhere");
        write(&path, b"hunter2\r\n", 0o600);
        let name = path.to_str().unwrap();
        assert_eq!(secret_file(name, &places).unwrap().expose(), "hunter2");
        std::fs::remove_file(&path).unwrap();
        let error = secret_file(name, &places).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{name}: the secret's file does not exist")
        );
    }

    #[test]
    fn only_one_line_break_is_taken_off_and_spaces_stay() {
        let (_folder, places) = folders();
        write(&places[0].join("mysql"), b" a b \n\n", 0o600);
        assert_eq!(secret_file("mysql", &places).unwrap().expose(), " a b \n");
    }

    #[test]
    fn a_file_that_everybody_can_read_or_change_is_refused_with_the_command_that_mends_it() {
        let (_folder, places) = folders();
        let path = places[1].join("mysql");
        for mode in [0o644, 0o602, 0o666] {
            write(&path, b"hunter2", mode);
            let error = secret_file("mysql", &places).unwrap_err();
            let command = format!("run: chmod o-rwx '{}'", path.display());
            assert!(error.message.en.ends_with(&command), "{error}");
            assert_eq!(error.file, path.display().to_string());
        }
        write(&path, b"hunter2", 0o640);
        assert!(secret_file("mysql", &places).is_ok());
    }

    #[test]
    fn a_name_found_nowhere_is_told_with_the_places() {
        let (_folder, places) = folders();
        let error = secret_file("mysql", &places).unwrap_err().to_string();
        for place in &places {
            assert!(error.contains(place.to_str().unwrap()), "{error}");
        }
    }

    #[test]
    fn names_that_leave_the_folder_and_files_without_a_secret_are_refused() {
        let (folder, places) = folders();
        write(&folder.path().join("outside"), b"x", 0o600);
        for name in ["../outside", "a/b", "", ".."] {
            let error = secret_file(name, &places).unwrap_err();
            assert!(error.message.en.contains("bare file name"), "{error}");
        }
        for (content, reason) in [
            (&b""[..], "empty"),
            (b"\n", "empty"),
            (b"\xff\xfe", "not text"),
            (&[b'x'; 65 * 1024], "larger"),
        ] {
            write(&places[0].join("bad"), content, 0o600);
            let error = secret_file("bad", &places).unwrap_err();
            assert!(error.message.en.contains(reason), "{error}");
        }
        std::fs::create_dir(places[0].join("folder")).unwrap();
        assert!(secret_file("folder", &places).is_err());
    }

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
    }
}
