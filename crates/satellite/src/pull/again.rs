//! Windows that are asked for again, handed to the terminal's visit as errands.
//!
//! A terminal on port 4370 gives its log whole or not at all, so that one reading serves the
//! whole window: everything of it is stored when the errand is done. An errand that waits for a
//! terminal which does not answer waits as long as somebody wants it.

use std::time::Duration;

use event::{Millis, Zone};

use super::state::Wanted;
use crate::again::Window;
use crate::again::push::wall;
use crate::devices::Known;

/// How often the mailbox is looked into.
const LOOK: Duration = Duration::from_secs(1);
/// More than any window has.
const WHOLE: Duration = Duration::from_secs(u64::MAX / 1_000);

/// Works off what is asked for, for as long as the terminal is dialled.
pub(super) async fn run(known: &Known) {
    let mailbox = known.again();
    let _open = mailbox.open();
    loop {
        let Some(mut asked) = mailbox.take() else {
            tokio::time::sleep(LOOK).await;
            continue;
        };
        let Some(window) = asked.next_chunk(WHOLE) else {
            asked.ended(Ok(()));
            continue;
        };
        match known
            .pull()
            .read_again(wanted(&window, &known.device.zone))
            .await
        {
            Ok(again) => {
                let punches: u64 = again.days.values().map(|n| u64::from(*n)).sum();
                asked.stored(window.to, punches + again.aside, again.new);
                asked.ended(Ok(()));
            }
            Err(why) => {
                mailbox.failed(asked, &why.to_string());
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

/// The window on the terminal's wall clock; its end is not in it.
fn wanted(window: &Window, zone: &Zone) -> Wanted {
    Wanted {
        from: wall(window.from, zone),
        to: wall(Millis(window.to.0 - 1), zone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_wanted_by_the_terminals_wall_clock_without_its_end() {
        let zone = Zone::named("America/Mexico_City").unwrap();
        let at = |text: &str| Millis::parse(text).unwrap();
        let window = Window {
            from: at("2026-11-20 06:00:00"),
            to: at("2026-11-21 06:00:00"),
        };
        let wanted = wanted(&window, &zone);
        assert_eq!(wanted.from.unwrap().to_string(), "2026-11-20 00:00:00");
        assert_eq!(wanted.to.unwrap().to_string(), "2026-11-20 23:59:59");
    }
}
