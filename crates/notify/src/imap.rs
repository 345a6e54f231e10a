//! A mailbox that is only asked whether a test letter has come back, by IMAP (RFC 3501).
//!
//! Log in, select INBOX, search subjects, mark what was found as deleted, leave: five commands,
//! which is all that a watcher needs. A password never travels unencrypted, except to this
//! machine itself. Everything has a deadline, and the server may send us so many bytes; its
//! words are never believed beyond numbers and the three ends of a command.

use std::fmt;
use std::time::Duration;

use daemon::config::Secret;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};

use crate::smtp::split_host;
use crate::tls::{self, Stream};
use crate::{Error, text};

/// Bytes that a server may send on one connection.
const ANSWER_BYTES: u64 = 1024 * 1024;
/// Letters that are marked as deleted in one visit, at most.
const DELETED: usize = 200;

/// A mailbox of our own, in which nothing but test letters should be.
pub struct ImapBox {
    name: String,
    host: String,
    port: u16,
    encrypted: bool,
    login: (String, Secret),
    authorities: Option<String>,
    deadline: Duration,
}

impl fmt::Debug for ImapBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImapBox({})", self.name)
    }
}

impl ImapBox {
    /// `imaps://host[:993]`, or `imap://host[:143]` on this machine.
    ///
    /// # Errors
    /// [`Error::Relay`]: another scheme, no host, something else inside, an unencrypted server
    /// on another machine, or a login that holds more than printable ASCII.
    pub fn new(url: &str, user: &str, password: Secret) -> Result<Self, Error> {
        let wrong = |why: &str| Error::relay(url, why);
        let (encrypted, rest) = match url.split_once("://") {
            Some(("imaps", rest)) => (true, rest),
            Some(("imap", rest)) => (false, rest),
            _ => return Err(wrong("it must begin with imaps:// or imap://")),
        };
        if rest.contains('@') {
            // The text is not repeated: it may hold the password.
            let why = "user and password stand beside the address (user, password_file), not in it";
            return Err(Error::relay("imap://…@…", why));
        }
        let (host, port) = split_host(rest.trim_end_matches('/'))
            .ok_or_else(|| wrong("after the scheme comes host or host:port"))?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let address: Result<std::net::IpAddr, _> = host.parse();
        let local = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        if !encrypted && !local {
            return Err(wrong("a password is sent only encrypted: write imaps://"));
        }
        let printable = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !printable(user) || !printable(password.expose()) {
            return Err(wrong("user and password must be printable ASCII"));
        }
        let port = port.unwrap_or(if encrypted { 993 } else { 143 });
        let scheme = if encrypted { "imaps" } else { "imap" };
        Ok(Self {
            name: format!("{scheme}://{host}:{port}"),
            host,
            port,
            encrypted,
            login: (user.to_owned(), password),
            authorities: None,
            deadline: Duration::from_secs(20),
        })
    }

    /// Trusts these authorities (PEM) besides the public ones.
    ///
    /// # Errors
    /// [`Error::Relay`] when the text holds something else than certificates.
    pub fn trust(mut self, pem: &str) -> Result<Self, Error> {
        tls::connector(Some(pem)).map_err(|why| Error::relay(&self.name, &why))?;
        self.authorities = Some(pem.to_owned());
        Ok(self)
    }

    /// How long one visit may take. Without this 20 seconds.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The server, without a secret.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a letter with `token` in its subject is there. Every letter whose subject holds
    /// `all` is then marked as deleted, and removed where the server can remove single letters.
    /// Both are searched as they are and must be plain words.
    ///
    /// # Errors
    /// One line, fit to be shown, within the deadline.
    pub async fn take(&self, token: &str, all: &str) -> Result<bool, String> {
        let visit = tokio::time::timeout(self.deadline, self.visit(token, all)).await;
        let late = format!("no answer within {} s", self.deadline.as_secs_f32());
        let answer = visit.unwrap_or(Err(late));
        answer.map_err(|words| text::short(&words, 300))
    }

    async fn visit(&self, token: &str, all: &str) -> Result<bool, String> {
        let authorities = self.authorities.as_deref();
        let stream = tls::dial(&self.host, self.port, self.encrypted, authorities).await?;
        let mut session = Session::open(stream).await?;
        let (user, password) = &self.login;
        let login = format!("LOGIN {} {}", quoted(user), quoted(password.expose()));
        session.ask(&login, "login").await?;
        let can = session.ask("CAPABILITY", "capability").await?;
        session.ask("SELECT INBOX", "INBOX").await?;
        let found = session.search(token).await?;
        let old = session.search(all).await?;
        let numbers: Vec<String> = old.iter().take(DELETED).map(u32::to_string).collect();
        if !numbers.is_empty() {
            let numbers = numbers.join(",");
            let mark = format!("UID STORE {numbers} +FLAGS.SILENT (\\Deleted)");
            session.ask(&mark, "deleting").await?;
            // Without this extension (RFC 4315) letters of others might go with ours.
            if can.iter().any(|line| line.contains(" UIDPLUS")) {
                session
                    .ask(&format!("UID EXPUNGE {numbers}"), "deleting")
                    .await?;
            }
        }
        // Politeness; the answer is known.
        drop(session.ask("LOGOUT", "logout").await);
        Ok(!found.is_empty())
    }
}

/// A quoted string (RFC 3501, 4.3); what goes in is printable ASCII.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

/// One connection, one command at a time.
struct Session<S> {
    stream: BufReader<S>,
    left: u64,
    number: u32,
}

impl<S: Stream> Session<S> {
    async fn open(stream: S) -> Result<Self, String> {
        let mut session = Self {
            stream: BufReader::new(stream),
            left: ANSWER_BYTES,
            number: 0,
        };
        let greeting = session.line().await?;
        if greeting.starts_with("* OK") || greeting.starts_with("* PREAUTH") {
            Ok(session)
        } else {
            Err(format!("greeting: {greeting}"))
        }
    }

    /// Sends a command; answers with the lines that came before its end.
    async fn ask(&mut self, command: &str, what: &str) -> Result<Vec<String>, String> {
        self.number += 1;
        let tag = format!("s{}", self.number);
        let text = format!("{tag} {command}\r\n");
        let sent = self.stream.get_mut().write_all(text.as_bytes());
        sent.await.map_err(|error| format!("{what}: {error}"))?;
        let mut lines = Vec::new();
        loop {
            let line = self.line().await.map_err(|why| format!("{what}: {why}"))?;
            match line.strip_prefix(&tag).map(str::trim_start) {
                Some(end) if end.starts_with("OK") => return Ok(lines),
                Some(end) => return Err(format!("{what}: {end}")),
                None => lines.push(line),
            }
        }
    }

    async fn search(&mut self, words: &str) -> Result<Vec<u32>, String> {
        let command = format!("UID SEARCH UNDELETED SUBJECT {}", quoted(words));
        let lines = self.ask(&command, "search").await?;
        let found = lines
            .iter()
            .filter_map(|line| line.strip_prefix("* SEARCH"));
        let numbers = found.flat_map(str::split_whitespace);
        Ok(numbers.filter_map(|number| number.parse().ok()).collect())
    }

    /// One line without its end; what follows it as a literal is passed over.
    async fn line(&mut self) -> Result<String, String> {
        let line = read_line(&mut self.stream, &mut self.left).await?;
        let literal = line
            .strip_suffix('}')
            .and_then(|rest| rest.rsplit_once('{'));
        if let Some(length) = literal.and_then(|(_, length)| length.parse().ok()) {
            self.left = self.left.checked_sub(length).ok_or(ENDLESS)?;
            let mut part = (&mut self.stream).take(length);
            let passed = tokio::io::copy(&mut part, &mut tokio::io::sink()).await;
            passed.map_err(|error| error.to_string())?;
        }
        Ok(line)
    }
}

const ENDLESS: &str = "the server talks without end";

async fn read_line(
    stream: &mut (impl AsyncBufRead + Unpin),
    left: &mut u64,
) -> Result<String, String> {
    let mut line = Vec::new();
    let read = stream.take(*left).read_until(b'\n', &mut line).await;
    let read = read.map_err(|error| error.to_string())?;
    *left = left.saturating_sub(read as u64);
    if *left == 0 {
        return Err(ENDLESS.to_owned());
    }
    if read == 0 {
        return Err("the server ended the connection".to_owned());
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    /// A server that answers each line with the next of these, `%` being the line's tag.
    async fn played(answers: &'static [&'static str]) -> ImapBox {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("imap://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (read, mut write) = stream.into_split();
            let mut lines = BufReader::new(read).lines();
            let mut tag = "*".to_owned();
            for answer in answers {
                let answer = answer.replace('%', &tag);
                write.write_all(answer.as_bytes()).await.ok();
                let Ok(Some(line)) = lines.next_line().await else {
                    return;
                };
                tag = line.split(' ').next().unwrap_or_default().to_owned();
            }
            std::future::pending::<()>().await;
        });
        let deadline = Duration::from_millis(400);
        ImapBox::new(&url, "u", secret("p"))
            .unwrap()
            .deadline(deadline)
    }

    const FOUND: &[&str] = &[
        "* OK ready\r\n",
        "% OK in\r\n",
        "* CAPABILITY IMAP4rev1 UIDPLUS\r\n% OK\r\n",
        "* 3 EXISTS\r\n* LIST {5}\r\nab\r\nc\r\n% OK\r\n",
        "* SEARCH 7\r\n% OK\r\n",
        "* SEARCH 5 7\r\n% OK\r\n",
        "% OK\r\n",
        "* 1 EXPUNGE\r\n% OK\r\n",
        "* BYE\r\n% OK\r\n",
    ];

    #[tokio::test]
    async fn a_letter_is_found_and_what_is_literal_is_passed_over() {
        assert_eq!(played(FOUND).await.take("token", "all").await, Ok(true));
    }

    #[tokio::test]
    async fn a_server_that_refuses_hangs_floods_or_talks_nonsense_is_told_in_words() {
        const FLOOD: &[&str] = &["* OK ready\r\n", "* LIST {4000000}\r\n"];
        for (answers, words) in [
            (&["* BYE overloaded\r\n"][..], "greeting: * BYE"),
            (&["* OK\r\n", "% NO wrong password\r\n"], "login: NO wrong"),
            (&["* OK\r\n"], "no answer within"),
            (FLOOD, "without end"),
            (&["\u{1b}[2J<html>\r\n"], "greeting: "),
        ] {
            let told = played(answers)
                .await
                .take("token", "all")
                .await
                .unwrap_err();
            assert!(told.contains(words), "{told}");
            assert!(!told.contains('\u{1b}'), "{told}");
        }
    }

    #[test]
    fn a_password_leaves_this_machine_only_encrypted_and_stands_in_no_address() {
        for url in [
            "imap://mail.example.mx",
            "http://x",
            "imaps://u:p@x",
            "imaps://",
        ] {
            let error = ImapBox::new(url, "u", secret("geheim"))
                .unwrap_err()
                .to_string();
            assert!(
                !error.contains("u:p@") && !error.contains("geheim"),
                "{error}"
            );
        }
        let error = ImapBox::new("imaps://x", "u", secret("a\r\nb")).unwrap_err();
        assert!(error.to_string().contains("printable"), "{error}");
        let good = ImapBox::new("imaps://mail.example.mx", "u", secret("p")).unwrap();
        assert_eq!(good.name(), "imaps://mail.example.mx:993");
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
    }
}
