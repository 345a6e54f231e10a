//! A database: whether it answers, what it is, what its user may do, and whether it keeps what it
//! confirmed.

use store::examine::{self, Examined};
use store::schema::{self, SchemaState};
use store::{Failure, Target, Trouble};

use super::words::Says;
use super::{Context, Findings};
use crate::cli::databases::{Place, is_missing};
use crate::cli::words::Speaks as _;
use crate::cli::{now, program};

/// Further off than this, "since when" of two machines does not fit together.
const CLOCK_OFF_MS: u64 = 5_000;

pub(super) async fn look(context: &Context, place: &Place, findings: &mut Findings) {
    let migrate = || format!("{} db migrate", program());
    if is_missing(&place.target) {
        return findings.care(Says::Behind, &[&place.target], migrate());
    }
    match ask(place).await {
        Ok(Some(seen)) => judge(&seen, place, findings),
        Ok(None) => findings.bad(Says::Behind, &[&place.target], migrate()),
        Err(failure) => {
            let trouble = context.lang.term(failure.trouble().as_str());
            let text = context.lang.detail(&failure.text);
            let mend = against(failure.trouble(), place);
            findings.bad(Says::Trouble, &[&place.target, &trouble, &text], mend);
        }
    }
}

async fn ask(place: &Place) -> Result<Option<Examined>, Failure> {
    let mut engine = place.target.connect().await?;
    let seen = match schema::state(&mut engine).await? {
        SchemaState::Current => Some(examine::examine(&mut engine).await?),
        SchemaState::Behind(_) => None,
    };
    engine.close().await;
    Ok(seen)
}

/// What to do about a database that does not answer as it should.
fn against(trouble: Trouble, place: &Place) -> String {
    match (trouble, &place.target) {
        (Trouble::Denied, Target::Mysql { .. }) => grant(place, ""),
        (_, Target::Mysql { .. }) => {
            "systemctl status mariadb; journalctl -u mariadb -n 50".to_owned()
        }
        (_, Target::Sqlite(file)) => format!("ls -l {}", file.display()),
    }
}

fn judge(seen: &Examined, place: &Place, findings: &mut Findings) {
    let version = match seen.oldest {
        Some((major, minor)) => {
            let oldest = format!("{major}.{minor}");
            let values: [&dyn std::fmt::Display; 2] = [&seen.version, &oldest];
            findings.lang.say(Says::Needed, &values)
        }
        None => seen.version.clone(),
    };
    findings.good(Says::Ready, &[&version, &place.target]);
    if seen.too_old {
        let update = "apt install mariadb-server".to_owned();
        findings.bad(Says::TooOld, &[&version], update);
    }
    if seen.read_only {
        let open = "mariadb -e \"SET GLOBAL read_only = 0\"".to_owned();
        findings.bad(Says::ReadOnly, &[], open);
    }
    for (name, value, wanted) in &seen.wrong {
        let set = format!(
            "mariadb -e \"SET GLOBAL {name} = {wanted}\"; echo '{name} = {wanted}' >> /etc/mysql/my.cnf"
        );
        findings.bad(Says::Setting, &[name, value, wanted], set);
    }
    if seen.wrong.is_empty() {
        findings.good(Says::Durable, &[]);
    }
    if !seen.denied.is_empty() {
        findings.bad(
            Says::Denied,
            &[&seen.denied.join(", ")],
            grant(place, &seen.account),
        );
    }
    if seen.almighty {
        findings.care(Says::Almighty, &[], grant(place, &seen.account));
    }
    let here = now().0;
    let off = seen.clock.map_or(0, |clock| clock.0.abs_diff(here));
    if off > CLOCK_OFF_MS {
        let sync = "timedatectl status".to_owned();
        findings.care(Says::ClockOff, &[&(off / 1000)], sync);
    }
}

/// The statement that gives an account (`user@host`, or empty where it is not known) what satellite
/// needs while it runs.
fn grant(place: &Place, account: &str) -> String {
    let url = place.target.to_string();
    let (user, database) = parts(&url);
    let (user, host) = account.rsplit_once('@').unwrap_or((user, "%"));
    format!("GRANT SELECT, INSERT, UPDATE ON {database}.* TO '{user}'@'{host}';")
}

/// User and database of `mysql://user@host/database`.
fn parts(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let user = rest.split_once('@').map_or("satellite", |(user, _)| user);
    let database = rest.rsplit_once('/').map_or("satellite", |(_, name)| name);
    (user, database.split('?').next().unwrap_or(database))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_that_mends_names_the_user_and_the_database_of_the_address() {
        assert_eq!(parts("mysql://sat@db.example:3306/acme"), ("sat", "acme"));
        assert_eq!(
            parts("mysql://db.example/acme?ssl=1"),
            ("satellite", "acme")
        );
    }
}
