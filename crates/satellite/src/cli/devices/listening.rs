//! Where a device posts: a fresh token, the URL that holds it, and what to type into the menu.
//!
//! The token is the only thing that vouches for such a device, so it is drawn from the system's
//! random numbers, shown once, and kept nowhere but as a hash. Nothing here prints: what is
//! made here goes to the caller, who says it once.

use event::Vendor;
use satellite::hikvision::Wish;
use serde_json::{Value, json};
use store::registry::TokenHash;

use super::super::words::{Speaks as _, Word};
use super::super::{Context, table};
use super::show;

/// A new way in for one device.
pub(super) struct Listening {
    /// Host as the menu wants it; `None` when the configuration does not name one.
    pub(super) host: Option<String>,
    pub(super) port: u16,
    /// The path with the token.
    pub(super) path: String,
    pub(super) is_https: bool,
    from_public_url: bool,
    token: String,
    vendor: Vendor,
}

impl Listening {
    /// Draws a token of 128 bits: 32 letters and digits that nobody confuses when typing.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(super) fn fresh(context: &Context, vendor: Vendor) -> anyhow::Result<Self> {
        let word = match vendor {
            Vendor::Other => other_makes::TOKEN_PATH,
            _ => "hikvision",
        };
        let token = satellite::hikvision::token()
            .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
        let listen = &context.config.listen;
        let (host, port, from_public_url) = show::address(listen);
        let url = listen.public_url.as_deref().unwrap_or_default();
        let path = match vendor {
            // An edge knows the path, and its token stands in a header.
            Vendor::Satellite => folder(url).to_owned(),
            _ => format!("{}/{word}/{token}", folder(url)),
        };
        Ok(Self {
            host,
            port,
            path,
            is_https: show::is_https(listen),
            from_public_url,
            token,
            vendor,
        })
    }

    /// The same without its token, for whoever draws one by himself.
    pub(super) fn wish(&self) -> Option<Wish> {
        let folder = self.path.rsplit_once("/hikvision/");
        Some(Wish {
            host: self.host.clone()?,
            port: self.port,
            folder: folder.map_or("", |(folder, _)| folder).to_owned(),
            https: self.is_https,
        })
    }

    pub(super) fn hash(&self) -> TokenHash {
        TokenHash::of(&self.token)
    }

    fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }

    /// The whole URL; a word stands for a host that is not known.
    pub(super) fn url(&self, context: &Context) -> String {
        let host = self.host_or(context.say(Word::UrlHost, &[]));
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host
        };
        format!("{}://{host}:{}{}", self.scheme(), self.port, self.path)
    }

    fn host_or(&self, word: String) -> String {
        self.host.clone().unwrap_or(word)
    }

    /// What to type into the device, and what to know about it.
    pub(super) fn page(&self, context: &Context) -> String {
        if self.vendor == Vendor::Satellite {
            let to = context.say(Word::EdgeTo, &[&self.url(context)]);
            let token = context.say(Word::EdgeToken, &[&self.token]);
            let plain = match self.is_https {
                true => String::new(),
                false => format!("{}\n", context.say(Word::EdgeHttps, &[])),
            };
            return format!("{to}\n{token}\n{plain}");
        }
        if self.vendor == Vendor::Other {
            let url = context.say(Word::ListenUrl, &[&self.url(context)]);
            let how = context.say(Word::IngestHow, &[]);
            let once = context.say(Word::ListenOnce, &[]);
            return format!("{url}\n{how}\n{once}\n");
        }
        let names = context.lang.headings(&[
            Word::HttpHost,
            Word::SettingPort,
            Word::HttpPath,
            Word::HttpProtocol,
        ]);
        let values = [
            self.host_or(context.say(Word::ThisMachine, &[])),
            self.port.to_string(),
            self.path.clone(),
            self.scheme().to_uppercase(),
        ];
        let facts: Vec<(&str, String)> = names.into_iter().zip(values).collect();
        let mut page = format!(
            "{}\n{}\n{}",
            context.say(Word::ListenUrl, &[&self.url(context)]),
            context.say(Word::ListenMenu, &[]),
            table::facts(&facts)
        );
        let mut note = |word| page.push_str(&format!("{}\n", context.say(word, &[])));
        if !self.from_public_url {
            note(Word::SetPublicUrl);
        }
        if self
            .host
            .as_ref()
            .is_some_and(|host| host.parse::<std::net::IpAddr>().is_err())
        {
            note(Word::ListenName);
        }
        note(Word::ListenOnce);
        page
    }

    pub(super) fn json(&self, context: &Context, rotated: bool) -> Value {
        json!({
            "url": self.url(context),
            "host": self.host,
            "port": self.port,
            "path": self.path,
            "protocol": self.scheme().to_uppercase(),
            "from_public_url": self.from_public_url,
            "token": (self.vendor == Vendor::Satellite).then_some(&self.token),
            "rotated": rotated,
        })
    }
}

/// The path of a public URL without the slash at its end: a proxy may serve us in a folder.
fn folder(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let at = rest.find('/').unwrap_or(rest.len());
    rest.get(at..).unwrap_or_default().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_holds_a_token_that_the_door_reads_and_that_nobody_draws_twice() {
        let mut context = Context::for_tests();
        let one = Listening::fresh(&context, Vendor::Hikvision).unwrap();
        let two = Listening::fresh(&context, Vendor::Hikvision).unwrap();
        assert_ne!(one.path, two.path);
        let token = hikvision_isapi::token_of(&one.path).unwrap();
        assert!(token.len() == 32 && one.hash() == TokenHash::of(token));
        assert_eq!(
            one.url(&context),
            format!("http://ADDRESS:8081{}", one.path)
        );
        context.config.listen.public_url = Some("https://sat.example.mx/in".to_owned());
        let named = Listening::fresh(&context, Vendor::Hikvision).unwrap();
        let url = named.url(&context);
        assert!(
            url.starts_with("https://sat.example.mx:443/in/hikvision/"),
            "{url}"
        );
        assert!(named.page(&context).contains("HTTPS"));
        context.config.listen.public_url = Some("http://[fd00::1]:99".to_owned());
        let other = Listening::fresh(&context, Vendor::Other).unwrap();
        assert_eq!(
            other_makes::token_of(&other.path).map(TokenHash::of),
            Some(other.hash())
        );
        let listening = Listening::fresh(&context, Vendor::Hikvision).unwrap();
        let url = listening.url(&context);
        assert!(url.starts_with("http://[fd00::1]:99/hikvision/"), "{url}");
    }
}
