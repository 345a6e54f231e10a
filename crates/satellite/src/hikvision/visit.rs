//! Everything that is done with one dialled device while its lease holds: its password is
//! read, then it is searched and its stream is read, side by side.
//!
//! A password that was refused, by whatever process of this machine, is not tried again until the
//! device's lock time is over, unless its file changed: that is an operator who mends it. Dropping this future closes both
//! connections.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daemon::config::{secret_file, secret_places};
use store::Fence;

use super::client::{self, Secret};
use super::intake::Intake;
use super::lockout::{LOCKOUT, Lockout, written};
use super::search::Search;
use super::stream;
use crate::clock;
use crate::conditions::{self, Condition};
use crate::config::SECRETS_FOLDER;
use crate::detail::Detail;
use crate::devices::Known;
use crate::hub::Hub;
use crate::stores::Store;

/// How often the file with the password is looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Visits the device until it is dropped.
pub(crate) async fn run(hub: Arc<Hub>, known: Arc<Known>, store: Store, fence: Fence) {
    let intake = Intake {
        hub,
        known,
        store,
        fence: Some(fence),
    };
    let access = intake.known.enrolment.access.clone();
    let Some(address) = access.address else {
        return;
    };
    let user = access.user.unwrap_or_default();
    let file = access.secret_file.unwrap_or_default();
    loop {
        let since = written(&file);
        let Some(secret) = password(&intake, &file) else {
            tokio::time::sleep(LOOK).await;
            continue;
        };
        let kept = intake.known.facts().kept(LOCKOUT).cloned();
        let kept = kept.and_then(|text| Lockout::parse(&text));
        let refused_until =
            kept.and_then(|kept| kept.stands(&intake.known.enrolment.access, clock::now()));
        let login = match client::login(&user, &secret, refused_until) {
            Ok(login) => login,
            Err(error) => {
                intake.raise(Condition::LoginRefused, &error);
                tokio::time::sleep(LOOK).await;
                continue;
            }
        };
        let search = Search::new(&intake, &address, Arc::clone(&login));
        let _open = intake.known.again().open();
        tokio::select! {
            () = search.run() => {}
            () = stream::run(&intake, &address, &login) => {}
            () = changed(&file, &secret, since) => {
                tracing::info!(serial = %intake.known.enrolment.serial, "the password of a device was changed");
            }
        }
    }
}

fn read(file: &str) -> Result<Secret, Detail> {
    let places = secret_places(Path::new(SECRETS_FOLDER));
    secret_file(file, &places).map_err(|error| Detail::from(&error))
}

fn password(intake: &Intake, file: &str) -> Option<Secret> {
    match read(file) {
        Ok(secret) => {
            conditions::clear(&intake.known, Condition::SecretMissing);
            Some(secret)
        }
        Err(error) => {
            intake.raise(Condition::SecretMissing, error);
            None
        }
    }
}

/// Returns when the file holds another password than this one, or was written again: somebody
/// who mended the account in the device says so by that.
async fn changed(file: &str, secret: &Secret, since: i64) {
    loop {
        tokio::time::sleep(LOOK).await;
        let is_new = |now: Secret| now != *secret || written(file) != since;
        if read(file).is_ok_and(is_new) {
            return;
        }
    }
}
