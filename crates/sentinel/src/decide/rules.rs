//! Several vantage points, one verdict: the rule table by which satellite is judged. Pure.
//!
//! No single probe decides. Rows of real terminals outrank every probe: while they flow, the
//! worst that is said is that the watch itself is broken. A canary punch that was acknowledged
//! and is not there outranks everything. What is unknown is evidence for nothing.

use crate::kind::Kind;
use crate::observation::{Admin, Canary, Door, Rows, Unit};

/// What is seen from each point; `None` is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vantage {
    /// systemd's word.
    pub unit: Option<Unit>,
    /// The admin door.
    pub admin: Option<Admin>,
    /// The port for terminals.
    pub door: Option<Door>,
    /// The canary through the public address.
    pub canary: Option<Canary>,
    /// Rows of real terminals.
    pub rows: Option<Rows>,
}

/// What the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is seen at all.
    Unknown,
    /// It works.
    Fine,
    /// This is wrong.
    Wrong(Kind),
}

/// Every kind that the table can name.
pub const KINDS: [Kind; 6] = [
    Kind::SatelliteDown,
    Kind::SatelliteHang,
    Kind::IngestStalled,
    Kind::AcknowledgedNotFound,
    Kind::DoorUnreachable,
    Kind::ProbePath,
];

impl Vantage {
    /// A sign of life.
    fn alive(&self) -> bool {
        matches!(self.admin, Some(Admin::Moving | Admin::Stuck))
            || self.door == Some(Door::Answers)
            || self.canary == Some(Canary::Visible)
    }

    /// Somebody took a connection and said nothing.
    fn silent(&self) -> bool {
        self.admin == Some(Admin::Silent) || self.door == Some(Door::Silent)
    }

    /// Nobody listens.
    fn refused(&self) -> bool {
        self.admin == Some(Admin::Refused) || self.door == Some(Door::Refused)
    }

    fn flows(&self) -> bool {
        self.rows == Some(Rows::Fresh)
    }
}

/// The table.
pub fn verdict(seen: &Vantage) -> Verdict {
    if seen.canary == Some(Canary::Absent) {
        return Verdict::Wrong(Kind::AcknowledgedNotFound);
    }
    if seen.alive() {
        return verdict_on_the_living(seen);
    }
    let failed = seen.canary == Some(Canary::Failed);
    match seen.unit {
        Some(Unit::Inactive) => Verdict::Wrong(Kind::SatelliteDown),
        _ if !seen.silent() && !seen.refused() && !failed => match seen.rows {
            Some(Rows::Fresh) => Verdict::Fine,
            _ => Verdict::Unknown,
        },
        _ if seen.flows() => Verdict::Wrong(Kind::ProbePath),
        // Only the way through the public address was seen, and it fails.
        _ if !seen.silent() && !seen.refused() => Verdict::Wrong(Kind::DoorUnreachable),
        None if !seen.silent() => Verdict::Wrong(Kind::SatelliteDown),
        _ => Verdict::Wrong(Kind::SatelliteHang),
    }
}

/// Something answers; does it do its work, and for everybody?
fn verdict_on_the_living(seen: &Vantage) -> Verdict {
    if seen.canary == Some(Canary::Visible) {
        // The whole way works. What is blind beside it is a fault of the watch.
        let blind = seen.silent() || seen.refused() || seen.unit == Some(Unit::Inactive);
        return if blind {
            Verdict::Wrong(Kind::ProbePath)
        } else {
            Verdict::Fine
        };
    }
    let stuck = seen.admin == Some(Admin::Stuck);
    let door = matches!(seen.door, Some(Door::Refused | Door::Silent));
    let failed = seen.canary == Some(Canary::Failed);
    let admin = matches!(seen.admin, Some(Admin::Refused | Admin::Silent));
    if seen.flows() && (stuck || door || failed) {
        Verdict::Wrong(Kind::ProbePath)
    } else if stuck {
        Verdict::Wrong(Kind::IngestStalled)
    } else if door || failed {
        Verdict::Wrong(Kind::DoorUnreachable)
    } else if admin || seen.unit == Some(Unit::Inactive) {
        Verdict::Wrong(Kind::ProbePath)
    } else {
        Verdict::Fine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row of the table.
    fn all() -> Vec<Vantage> {
        let units = [None, Some(Unit::Active), Some(Unit::Inactive)];
        let admins = [
            None,
            Some(Admin::Moving),
            Some(Admin::Stuck),
            Some(Admin::Refused),
            Some(Admin::Silent),
        ];
        let doors = [
            None,
            Some(Door::Answers),
            Some(Door::Refused),
            Some(Door::Silent),
        ];
        let canaries = [
            None,
            Some(Canary::Visible),
            Some(Canary::Absent),
            Some(Canary::Failed),
        ];
        let rows = [None, Some(Rows::Fresh), Some(Rows::Old)];
        let mut table = Vec::new();
        for unit in units {
            for admin in admins {
                for door in doors {
                    for canary in canaries {
                        for rows in rows {
                            table.push(Vantage {
                                unit,
                                admin,
                                door,
                                canary,
                                rows,
                            });
                        }
                    }
                }
            }
        }
        table
    }

    /// Of the 720 rows, the 243 with three values for each signal: good, bad, unknown.
    fn three_valued(seen: &Vantage) -> bool {
        !matches!(seen.admin, Some(Admin::Stuck | Admin::Refused))
            && seen.door != Some(Door::Refused)
            && seen.canary != Some(Canary::Absent)
    }

    #[test]
    fn the_table_has_every_row() {
        assert_eq!(all().len(), 720);
        assert_eq!(all().iter().filter(|seen| three_valued(seen)).count(), 243);
    }

    #[test]
    fn an_acknowledged_punch_that_is_not_there_outranks_everything() {
        for seen in all() {
            let absent = seen.canary == Some(Canary::Absent);
            let said = verdict(&seen) == Verdict::Wrong(Kind::AcknowledgedNotFound);
            assert_eq!(absent, said, "{seen:?}");
        }
    }

    #[test]
    fn while_rows_of_real_terminals_flow_nothing_is_called_stalled_or_hung_or_unreachable() {
        for seen in all().iter().filter(|seen| seen.flows()) {
            let allowed = match verdict(seen) {
                Verdict::Wrong(Kind::AcknowledgedNotFound | Kind::ProbePath) => true,
                // systemd itself says that it does not run, and no probe contradicts.
                Verdict::Wrong(Kind::SatelliteDown) => {
                    seen.unit == Some(Unit::Inactive) && !seen.alive()
                }
                Verdict::Wrong(_) => false,
                Verdict::Fine | Verdict::Unknown => true,
            };
            assert!(allowed, "{seen:?}: {:?}", verdict(seen));
        }
    }

    #[test]
    fn all_probes_fail_and_systemd_says_active_is_a_hang_and_inactive_is_down() {
        for seen in all() {
            let fail = matches!(seen.admin, Some(Admin::Silent | Admin::Refused))
                && matches!(seen.door, Some(Door::Silent | Door::Refused))
                && seen.canary == Some(Canary::Failed);
            if !fail || seen.flows() {
                continue;
            }
            let expected = match seen.unit {
                Some(Unit::Active) => Kind::SatelliteHang,
                Some(Unit::Inactive) => Kind::SatelliteDown,
                // Without systemd's word: who refuses is dead, who is silent hangs.
                None if seen.silent() => Kind::SatelliteHang,
                None => Kind::SatelliteDown,
            };
            assert_eq!(verdict(&seen), Verdict::Wrong(expected), "{seen:?}");
        }
    }

    #[test]
    fn down_and_hang_need_that_nothing_lives_and_stall_needs_work_that_waits() {
        for seen in all() {
            match verdict(&seen) {
                Verdict::Wrong(Kind::SatelliteDown | Kind::SatelliteHang) => {
                    assert!(!seen.alive(), "{seen:?}");
                }
                Verdict::Wrong(Kind::IngestStalled) => {
                    assert_eq!(seen.admin, Some(Admin::Stuck), "{seen:?}");
                }
                Verdict::Wrong(Kind::DoorUnreachable) => {
                    let bad = seen.canary == Some(Canary::Failed)
                        || matches!(seen.door, Some(Door::Refused | Door::Silent));
                    assert!(bad, "{seen:?}");
                }
                _ => {}
            }
        }
    }

    #[test]
    fn unknown_alone_is_neither_fine_nor_wrong_and_fine_needs_a_good_sign() {
        for seen in all() {
            match verdict(&seen) {
                Verdict::Fine => assert!(seen.alive() || seen.flows(), "{seen:?}"),
                Verdict::Unknown => {
                    assert!(
                        !seen.alive() && !seen.silent() && !seen.refused(),
                        "{seen:?}"
                    );
                }
                Verdict::Wrong(_) => {}
            }
        }
        assert_eq!(verdict(&Vantage::default()), Verdict::Unknown);
    }

    #[test]
    fn old_rows_alone_mean_nothing() {
        for seen in all() {
            if seen.rows != Some(Rows::Old) {
                continue;
            }
            let without = Vantage { rows: None, ..seen };
            assert_eq!(verdict(&seen), verdict(&without), "{seen:?}");
        }
    }
}
