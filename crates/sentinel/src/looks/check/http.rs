//! A page: its status, what it says and must not say, how long it takes, its certificate, its
//! login form.
//!
//! A page of PHP is alive only if PHP ran: a server that sends the program itself, or its fatal
//! error with the status 200, is not. Redirects are not followed; where one is wanted, the
//! check names its status.

use std::time::Duration;

use fetch::{Answer, Fetch};

use super::{Outcome, Verdict};
use crate::Value;
use crate::config::looks::HttpProbe;
use crate::looks::{certificate, said};
use crate::words::Phrase;

/// Most of a page that is read, in bytes.
const LIMIT: usize = 512 * 1024;

/// What a page says when its program did not run or failed. From PHP's and Apache's own words.
const BROKEN: [&str; 6] = [
    "<?php",
    "<b>Fatal error</b>",
    "<b>Parse error</b>",
    "Fatal error: ",
    "Error establishing a database connection",
    "SQLSTATE[HY000] [2002]",
];

/// Fetches and judges.
pub(super) async fn probe(it: &HttpProbe, within: Duration) -> Outcome {
    let asked = Fetch::get(it.url.clone())
        .header("user-agent", "sentinel")
        .within(within)
        .limit(LIMIT)
        .trust(it.trust.clone());
    match asked.send().await {
        Ok(answer) => {
            let took = answer.took.as_secs_f64();
            let verdict = judge(it, &answer, jiff::Timestamp::now());
            Outcome::of(verdict).number("took_seconds", took)
        }
        Err(failed) => Outcome::of(Verdict::Bad(said(&failed))),
    }
}

/// What a page that came is worth.
fn judge(it: &HttpProbe, answer: &Answer, now: jiff::Timestamp) -> Verdict {
    if answer.status != it.status {
        let statuses = [answer.status, it.status].map(|it| Value::heard(it.to_string()));
        return Verdict::Bad(Phrase::HttpInstead.with(statuses));
    }
    let page = String::from_utf8_lossy(&answer.body);
    if let Some(words) = BROKEN.iter().find(|words| page.contains(**words)) {
        return Verdict::Bad(Phrase::PageSays.with([Value::heard(words)]));
    }
    if let Some(text) = it
        .contains
        .iter()
        .find(|text| !page.contains(text.as_str()))
    {
        return Verdict::Bad(Phrase::PageLacks.with([Value::heard(text)]));
    }
    if let Some(text) = it.lacks.iter().find(|text| page.contains(text.as_str())) {
        return Verdict::Bad(Phrase::PageSays.with([Value::heard(text)]));
    }
    if it.login_form && !has_login_form(&page) {
        return Verdict::Bad(Phrase::NoLoginForm.into());
    }
    if let Some(ends) = answer.certificate.as_deref().and_then(certificate::ends)
        && let Some(words) = certificate::soon(ends, now)
    {
        return Verdict::Poor(words);
    }
    if answer.took > it.slow {
        return Verdict::Poor(Phrase::TookTooLong.with([answer.took.into(), it.slow.into()]));
    }
    Verdict::Good
}

/// A form that asks for a password, in whatever case and quotes the page is written.
fn has_login_form(page: &str) -> bool {
    let page = page.to_ascii_lowercase();
    let field = page.find("<input").is_some_and(|_| {
        page.split("<input").skip(1).any(|rest| {
            let tag = rest.split('>').next().unwrap_or_default();
            let tag: String = tag
                .chars()
                .filter(|c| !matches!(c, '"' | '\'' | ' '))
                .collect();
            tag.contains("type=password")
        })
    });
    page.contains("<form") && field
}

#[cfg(test)]
mod tests {
    use super::*;
    use fetch::Trust;

    fn page(body: &str) -> Answer {
        Answer {
            status: 200,
            location: None,
            body: body.as_bytes().to_vec(),
            is_cut: false,
            took: Duration::from_millis(10),
            date: None,
            certificate: None,
        }
    }

    fn check() -> HttpProbe {
        HttpProbe {
            url: "http://a".parse().unwrap(),
            status: 200,
            contains: vec!["Bienvenido".to_owned()],
            lacks: vec!["mantenimiento".to_owned()],
            login_form: true,
            slow: Duration::from_secs(2),
            trust: Trust::default(),
        }
    }

    const GOOD: &str = "<p>Bienvenido</p><FORM><input name=p TYPE = 'password'></FORM>";

    #[test]
    fn a_page_is_judged_by_status_words_login_form_and_time() {
        let of = |answer: &Answer| judge(&check(), answer, jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(of(&page(GOOD)), Verdict::Good);
        for (body, words) in [
            ("", "does not say"),
            ("Bienvenido", "no form"),
            ("Bienvenido <form><input type=text></form>", "no form"),
            ("<?php echo 'Bienvenido';", "<?php"),
            ("Bienvenido <b>Fatal error</b>: x", "Fatal error"),
            ("Bienvenido en mantenimiento", "mantenimiento"),
        ] {
            let Verdict::Bad(told) = of(&page(body)) else {
                panic!("{body}");
            };
            let told = told.to_string();
            assert!(told.contains(words), "{told}");
        }
        let mut slow = page(GOOD);
        slow.took = Duration::from_secs(3);
        assert!(matches!(of(&slow), Verdict::Poor(_)));
        let mut moved = page(GOOD);
        moved.status = 302;
        assert!(matches!(of(&moved), Verdict::Bad(_)));
    }

    #[test]
    fn a_good_page_whose_certificate_ends_within_thirty_days_is_poor() {
        let mut wanted = rcgen::CertificateParams::new(vec!["a.mx".to_owned()]).unwrap();
        wanted.not_after = rcgen::date_time_ymd(2026, 12, 31);
        let key = rcgen::KeyPair::generate().unwrap();
        let mut encrypted = page(GOOD);
        encrypted.certificate = Some(wanted.self_signed(&key).unwrap().der().to_vec());
        let at = |day: &str| judge(&check(), &encrypted, day.parse().unwrap());
        assert_eq!(at("2026-11-01T00:00:00Z"), Verdict::Good);
        assert!(matches!(at("2026-12-10T00:00:00Z"), Verdict::Poor(_)));
    }
}
