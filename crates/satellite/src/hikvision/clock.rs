//! How far a device's clock is from ours: read from the device itself, between two readings of
//! our own clock. A device that does not say is no trouble.

use std::time::{Duration, Instant};

use event::{Millis, Zone};
use hikvision_isapi::{CLOCK_PATH, DeviceTime, read_clock};
use hyper::StatusCode;

use super::client::{Client, Trouble};
use crate::clock;

/// An answer that took longer says too little about a clock.
const LONGEST: Duration = Duration::from_secs(5);

/// Seconds by which the device's clock is ahead of ours; `None` when that cannot be told.
pub(super) async fn ahead(client: &mut Client, zone: &Zone) -> Result<Option<i64>, Trouble> {
    let (before, began) = (clock::now(), Instant::now());
    let said = client.get(CLOCK_PATH).await?;
    let took = began.elapsed();
    if said.status != StatusCode::OK || took > LONGEST {
        return Ok(None);
    }
    let half = i64::try_from(took.as_millis() / 2).unwrap_or_default();
    let ours = Millis(before.0.saturating_add(half));
    Ok(read_clock(&said.body).and_then(|time| difference(&time, zone, ours)))
}

/// Whole seconds: the device shows no fraction of one.
fn difference(time: &DeviceTime, zone: &Zone, ours: Millis) -> Option<i64> {
    let wall = time.wall?;
    let its = match time.offset {
        Some(offset) => wall.seconds_as_utc() - i64::from(offset),
        None => zone.resolve(&wall).at.0.div_euclid(1000),
    };
    Some(its - ours.0.div_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_that_a_device_tells_counts_and_else_the_zone_of_its_enrolment() {
        let zone = Zone::named("America/Mexico_City").unwrap();
        let ours = Millis::parse("2026-11-21 15:00:00").unwrap();
        let ahead = |text: &str| difference(&DeviceTime::read(text), &zone, ours);
        assert_eq!(ahead("2026-11-21T09:00:07-06:00"), Some(7));
        assert_eq!(ahead("2026-11-21T15:00:00Z"), Some(0));
        assert_eq!(ahead("2026-11-21T08:58:00"), Some(-120));
        assert_eq!(ahead("tomorrow"), None);
    }
}
