//! One read-only query of the client's own database, and the bounds of its answer.
//!
//! The text comes from the configuration, whose owner may read what it reads; that it only reads
//! is the database user's right, and is asked for here as well: nothing but SELECT and SHOW is
//! sent, inside a transaction that takes no writes.

use std::time::{Duration, Instant};

use super::{Outcome, Verdict};
use crate::Value;
use crate::config::looks::SqlProbe;
use crate::looks::store::{Failed, Reader};
use crate::words::Phrase;

/// Asks and judges.
pub(super) async fn probe(it: &SqlProbe, within: Duration) -> Outcome {
    let began = Instant::now();
    let password = it.password.as_ref().map(daemon::config::Secret::expose);
    let answered = async {
        let mut reader = Reader::connect(&it.url, password, within).await?;
        let rest = within
            .saturating_sub(began.elapsed())
            .max(Duration::from_millis(100));
        let value = reader.first_value(&it.query, rest).await?;
        reader.close().await;
        Ok(value)
    };
    let took = began.elapsed();
    let outcome = match answered.await {
        Ok(value) => {
            let number = value.as_deref().and_then(|text| text.trim().parse().ok());
            let outcome = Outcome::of(judge(it, value.as_deref(), number));
            match number {
                Some(number) => outcome.number("value", number),
                None => outcome,
            }
        }
        Err(Failed::Denied(words)) => Outcome::of(Verdict::Unknown(words)),
        Err(failed) => Outcome::of(Verdict::Bad(failed.said())),
    };
    outcome.number("took_seconds", took.as_secs_f64())
}

/// The first value of the first row against its bounds.
fn judge(it: &SqlProbe, text: Option<&str>, number: Option<f64>) -> Verdict {
    let Some(text) = text else {
        return Verdict::Bad(Phrase::QueryEmpty.into());
    };
    if it.at_least.is_none() && it.at_most.is_none() {
        return Verdict::Good;
    }
    let Some(number) = number else {
        let shown: String = text.chars().take(60).collect();
        return Verdict::Bad(Phrase::QueryNoNumber.with([Value::heard(shown)]));
    };
    let shown = |number: f64, bound: f64| [number, bound].map(|it| Value::heard(it.to_string()));
    if let Some(least) = it.at_least.filter(|least| number < *least) {
        return Verdict::Bad(Phrase::TooLittle.with(shown(number, least)));
    }
    if let Some(most) = it.at_most.filter(|most| number > *most) {
        return Verdict::Bad(Phrase::TooMuch.with(shown(number, most)));
    }
    Verdict::Good
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str) -> SqlProbe {
        SqlProbe {
            url: "sqlite:///nonexistent.db".parse().unwrap(),
            password: None,
            query: query.to_owned(),
            at_least: Some(1.0),
            at_most: Some(10.0),
        }
    }

    #[test]
    fn an_answer_is_judged_by_its_bounds() {
        let it = check("SELECT 1");
        let of = |text: Option<&str>| judge(&it, text, text.and_then(|text| text.parse().ok()));
        assert_eq!(of(Some("5")), Verdict::Good);
        for bad in [None, Some("0"), Some("11"), Some("many")] {
            assert!(matches!(of(bad), Verdict::Bad(_)), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_query_is_asked_of_a_real_database_and_a_write_changes_nothing() {
        use sqlx::ConnectOptions as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        let tables = "CREATE TABLE sesion (id INTEGER); INSERT INTO sesion VALUES (1), (2)";
        sqlx::raw_sql(tables)
            .execute(&mut connection)
            .await
            .unwrap();
        let within = Duration::from_secs(3);
        let mut it = check("SELECT COUNT(*) FROM sesion");
        it.url = format!("sqlite://{}", path.display()).parse().unwrap();
        assert_eq!(probe(&it, within).await.verdict, Verdict::Good);
        it.query = "DELETE FROM sesion".to_owned();
        assert!(matches!(probe(&it, within).await.verdict, Verdict::Bad(_)));
        it.query = "SELECT COUNT(*) FROM sesion".to_owned();
        assert_eq!(probe(&it, within).await.verdict, Verdict::Good);
        it.query = "SELECT nothing FROM nowhere".to_owned();
        assert!(matches!(probe(&it, within).await.verdict, Verdict::Bad(_)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_query_of_a_real_server_is_judged_by_its_number_and_can_change_nothing() {
        let server = mariadb::shared(mariadb::Flavor::Xampp).unwrap();
        let name = server.fresh_database("indicator").unwrap();
        let table =
            "CREATE TABLE sesion (monto DECIMAL(10,2)); INSERT INTO sesion VALUES (2.50), (3.25);";
        server.sql(&format!("USE `{name}`; {table}")).unwrap();
        let within = Duration::from_secs(5);
        let mut it = check("");
        it.url = server.url(&name).parse().unwrap();
        for (query, most, is_good) in [
            ("SELECT COUNT(*) FROM sesion", 5.0, true),
            ("SELECT SUM(monto) FROM sesion", 6.0, true),
            ("SELECT SUM(monto) FROM sesion", 5.0, false),
            ("SELECT MAX(monto) FROM sesion WHERE monto > 99", 5.0, false),
            ("SHOW GLOBAL STATUS LIKE 'Threads_connected'", 1e6, true),
            ("SHOW GLOBAL STATUS LIKE 'Uptime'", 0.0, false),
            // The user may write, and the transaction does not let it.
            ("DELETE FROM sesion", 5.0, false),
            ("SELECT COUNT(*) FROM sesion", 5.0, true),
        ] {
            (it.query, it.at_most) = (query.to_owned(), Some(most));
            let outcome = probe(&it, within).await;
            assert_eq!(
                outcome.verdict == Verdict::Good,
                is_good,
                "{query}: {outcome:?}"
            );
        }
    }
}
