//! What stands on the screen: lines made of two looks, for a screen of some size.
//!
//! Trouble comes first, and what does not fit is counted, never left out in silence. Nothing here
//! knows a terminal or a socket.

use std::fmt::Display;
use std::time::Duration;

use event::{Millis, Zone};

use super::super::time;
use super::super::words::{Lang, Speaks as _, Word};
use super::look::{Device, Look, Store, Way, quantile};
use super::terminal::Size;

/// Lines that are there in any case: head, rates, latency, headings, blanks, foot.
const FIXED: usize = 10;

/// The screen for this look; rates where there was an earlier one, so long ago.
pub(super) fn of(
    now: &Look,
    earlier: Option<(Duration, &Look)>,
    (_, rows): Size,
    lang: Lang,
) -> Vec<String> {
    let view = View { now, earlier, lang };
    let mut lines = vec![view.head(), view.rates(), view.latency()];
    lines.extend(view.warnings());
    let free = rows.saturating_sub(FIXED + lines.len() - 3);
    let (tenants, devices) = (view.tenants(), view.devices());
    // Each has half of the room, and what the other leaves of its own.
    let half = free / 2;
    let for_devices = devices.len().min(free - half.min(tenants.len()));
    let for_tenants = tenants.len().min(free - for_devices);
    lines.push(String::new());
    lines.push(columns(lang.headings(&[
        Word::Tenant,
        Word::Approved,
        Word::TopOnline,
        Word::TopQuiet,
        Word::TopEventsPerSecond,
        Word::TopRepeatedPerSecond,
        Word::TopConditions,
    ])));
    lines.extend(view.cut(tenants, for_tenants));
    lines.push(String::new());
    lines.push(view.device_headings());
    lines.extend(view.cut(devices, for_devices));
    lines.resize(lines.len().max(rows.saturating_sub(1)), String::new());
    lines.truncate(rows.saturating_sub(1));
    lines.push(lang.say(Word::TopFoot, &[]));
    lines
}

/// The screen while nobody answers.
pub(super) fn silent(door: &dyn Display, error: &dyn Display, lang: Lang) -> Vec<String> {
    vec![
        lang.say(Word::TopSilent, &[door, error]),
        String::new(),
        lang.say(Word::TopFoot, &[]),
    ]
}

struct View<'a> {
    now: &'a Look,
    earlier: Option<(Duration, &'a Look)>,
    lang: Lang,
}

/// One row of the table of tenants.
fn columns<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> String {
    let widths = [-16, 9, 8, 10, 10, 11, 10];
    aligned(cells, &widths)
}

/// Cells in columns of these widths, to the left where it is below zero.
fn aligned<T: AsRef<str>>(cells: impl IntoIterator<Item = T>, widths: &[i32]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.into_iter().zip(widths) {
        let room = usize::try_from(width.unsigned_abs()).unwrap_or_default();
        let cell: String = cell.as_ref().chars().take(room).collect();
        line.push_str(&if *width < 0 {
            format!("{cell:<room$}")
        } else {
            format!("{cell:>room$}")
        });
        line.push(' ');
    }
    line.truncate(line.trim_end().len());
    line
}

impl View<'_> {
    fn head(&self) -> String {
        let status = &self.now.status;
        let up = age(status.uptime_seconds);
        let connections = status.door.connections;
        self.lang.say(
            Word::TopHead,
            &[&status.version, &up, &connections, &status.pending],
        )
    }

    /// How much a figure rose a second, or a dash at the first look.
    fn rate(&self, figure: impl Fn(&Look) -> f64) -> String {
        let Some((ago, before)) = self.earlier else {
            return "-".to_owned();
        };
        // A restart begins counting anew.
        let rose = (figure(self.now) - figure(before)).max(0.0);
        format!("{:.1}", rose / ago.as_secs_f64().max(0.001))
    }

    fn rates(&self) -> String {
        let committed = self.rate(|look| look.figures.committed.values().sum());
        let repeated = self.rate(|look| look.figures.duplicate.values().sum());
        let aside = self.rate(|look| look.figures.quarantined);
        let refused = self.rate(|look| look.figures.refused);
        self.lang
            .say(Word::TopRates, &[&committed, &repeated, &aside, &refused])
    }

    fn latency(&self) -> String {
        let before = self.earlier.map(|(_, look)| &look.figures);
        let told = |share, commits: bool| {
            let of = |figures: &super::look::Figures| {
                let all = if commits {
                    &figures.commits
                } else {
                    &figures.acks
                };
                all.clone()
            };
            let before = before.map(of).unwrap_or_default();
            let found = quantile(&of(&self.now.figures), &before, share);
            found.map_or_else(|| "-".to_owned(), milliseconds)
        };
        let (half, most) = (told(0.5, false), told(0.99, false));
        let (commit_half, commit_most) = (told(0.5, true), told(0.99, true));
        self.lang.say(
            Word::TopLatency,
            &[&half, &most, &commit_half, &commit_most],
        )
    }

    /// What is wrong with databases, and what else nobody should miss.
    fn warnings(&self) -> Vec<String> {
        let status = &self.now.status;
        let store = |store: &Store| {
            let trouble = store.trouble.as_deref().unwrap_or("down");
            let trouble = self.lang.term(trouble);
            let oldest = format!("{:.0}", store.oldest_waiting_seconds);
            self.lang
                .say(Word::TopStoreDown, &[&store.label, &trouble, &oldest])
        };
        let down = status.stores.iter().filter(|store| !store.up);
        let mut lines: Vec<String> = down.map(store).collect();
        if !status.lockdown.is_empty() {
            lines.push(self.lang.say(Word::TopLockdown, &[]));
        }
        if !status.attacks.is_empty() {
            let attacks = status.attacks.len();
            lines.push(self.lang.say(Word::TopAttacks, &[&attacks]));
        }
        let ways = [
            (Word::TopOutputIll, &status.outputs),
            (Word::TopInputIll, &status.inputs),
        ];
        for (word, ways) in ways {
            let well = ["fine", "starting", "elsewhere", "paused", "store"];
            let ill = ways
                .iter()
                .filter(|way| !well.contains(&way.state.as_str()));
            lines.extend(ill.map(|way| self.way(word, way)));
        }
        lines
    }

    /// An output or an input that does not do what it is for.
    fn way(&self, word: Word, way: &Way) -> String {
        let trouble = self.lang.detail(way.trouble.as_deref().unwrap_or("-"));
        let state = self.lang.term(&way.state);
        self.lang.say(word, &[&way.name, &state, &trouble])
    }

    /// Tenants, the busiest first.
    fn tenants(&self) -> Vec<String> {
        let busy = |id: &str| {
            let of = |look: &Look| look.figures.committed.get(id).copied().unwrap_or_default();
            of(self.now) - self.earlier.map_or(0.0, |(_, look)| of(look))
        };
        let mut tenants: Vec<_> = self.now.status.tenants.iter().collect();
        tenants.sort_by(|a, b| busy(&b.id).total_cmp(&busy(&a.id)).then(a.id.cmp(&b.id)));
        let row = |tenant: &&super::look::Tenant| {
            let id = &tenant.id;
            let of = |figure: &std::collections::BTreeMap<String, f64>| {
                figure.get(id).copied().unwrap_or_default()
            };
            let troubled = |device: &&Device| device.tenant == *id;
            columns([
                id.clone(),
                tenant.devices.approved.to_string(),
                tenant.devices.online.to_string(),
                tenant.devices.quiet.to_string(),
                self.rate(|look| of(&look.figures.committed)),
                self.rate(|look| of(&look.figures.duplicate)),
                self.now.devices.iter().filter(troubled).count().to_string(),
            ])
        };
        tenants.iter().map(row).collect()
    }

    fn device_headings(&self) -> String {
        let words = [Word::TopWithConditions, Word::Tenant, Word::LastContact];
        let headings = self.lang.headings(&words);
        let condition = self.lang.headings(&[Word::TopConditions]);
        device_columns(headings.into_iter().chain(condition))
    }

    /// Terminals for which something holds, those with most first.
    fn devices(&self) -> Vec<String> {
        let mut devices: Vec<&Device> = self.now.devices.iter().collect();
        devices.sort_by_key(|device| std::cmp::Reverse(device.conditions.len()));
        let row = |device: &&Device| {
            let names = device.conditions.iter().map(|one| one.name.as_str());
            let last = last_contact(device);
            let names = names.collect::<Vec<_>>().join(", ");
            device_columns([device.serial.clone(), device.tenant.clone(), last, names])
        };
        devices.iter().map(row).collect()
    }

    /// As many of the lines as there is room for; the last one tells how many there are beyond.
    fn cut(&self, mut lines: Vec<String>, room: usize) -> Vec<String> {
        if lines.is_empty() {
            return vec![self.lang.say(Word::TopNone, &[])];
        }
        if lines.len() > room {
            let shown = room.saturating_sub(1);
            let beyond = lines.len() - shown;
            lines.truncate(shown);
            lines.push(self.lang.say(Word::TopMore, &[&beyond]));
        }
        lines
    }
}

/// When it was last heard, by the clock on its own wall.
fn last_contact(device: &Device) -> String {
    let at = device.last_contact_at.as_deref().and_then(Millis::parse);
    let zone = Zone::named(&device.time_zone).unwrap_or_else(|_| Zone::utc());
    let mut shown = time::show_if(at, &zone);
    shown.truncate("2026-11-21 08:59:58".len());
    if shown.is_empty() {
        shown.push('-');
    }
    shown
}

fn device_columns<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> String {
    aligned(cells, &[-20, -14, -20, -40])
}

/// `3 d 4 h`, `4 h 5 min`, `5 min 6 s`.
fn age(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min {} s", seconds % 60),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A bound of a histogram.
fn milliseconds(seconds: f64) -> String {
    if seconds.is_finite() {
        format!("≤ {} ms", seconds * 1_000.0)
    } else {
        "> 10 s".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::{Condition, Counts, Status, Tenant};
    use super::*;

    fn look(tenants: usize, devices: usize, events: f64) -> Look {
        let mut look = Look {
            status: Status {
                version: "1".to_owned(),
                ..Status::default()
            },
            ..Look::default()
        };
        for n in 0..tenants {
            let id = format!("acme{n}");
            look.figures.committed.insert(id.clone(), events);
            look.status.tenants.push(Tenant {
                id,
                devices: Counts::default(),
            });
        }
        for n in 0..devices {
            look.devices.push(Device {
                serial: format!("SER{n}"),
                conditions: vec![Condition {
                    name: "silent".to_owned(),
                }],
                ..Device::default()
            });
        }
        look
    }

    #[test]
    fn everything_fits_on_a_small_screen_and_what_does_not_is_counted() {
        for (tenants, devices) in [(0, 0), (1, 1), (40, 3), (3, 40), (200, 9_000)] {
            for lang in [Lang::Es, Lang::En] {
                let lines = of(&look(tenants, devices, 1.0), None, (80, 24), lang);
                assert_eq!(lines.len(), 24, "{tenants} {devices}");
                let wide = lines.iter().find(|line| line.chars().count() > 80);
                assert_eq!(wide, None, "{tenants} {devices}");
                assert_eq!(lines[23], lang.say(Word::TopFoot, &[]));
                let told = |all: usize, letter: &str| {
                    let shown = lines.iter().filter(|line| line.starts_with(letter)).count();
                    let more = lang.say(Word::TopMore, &[&(all - shown)]);
                    assert!(all == shown || lines.contains(&more), "{lines:#?}");
                };
                told(tenants, "acme");
                told(devices, "SER");
            }
        }
    }

    #[test]
    fn a_rate_is_what_rose_between_two_looks_and_a_restart_is_no_negative_one() {
        let (before, now) = (look(1, 0, 10.0), look(1, 0, 30.0));
        let ago = Duration::from_secs(2);
        let lines = of(&now, Some((ago, &before)), (80, 24), Lang::En);
        assert!(lines.iter().any(|line| line.contains("10.0")), "{lines:#?}");
        let lines = of(&before, Some((ago, &now)), (80, 24), Lang::En);
        let negative = lines.iter().any(|line| line.contains("-1"));
        assert!(
            !negative && lines.iter().any(|line| line.contains("0.0")),
            "{lines:#?}"
        );
    }

    #[test]
    fn the_last_contact_is_told_by_the_clock_on_the_wall_of_the_terminal() {
        let heard = |at: Option<&str>| {
            let device = Device {
                last_contact_at: at.map(str::to_owned),
                time_zone: "America/Mexico_City".to_owned(),
                ..Device::default()
            };
            last_contact(&device)
        };
        let at = heard(Some("2026-11-27 07:51:08.123"));
        assert_eq!(
            (at.as_str(), heard(None).as_str()),
            ("2026-11-27 01:51:08", "-")
        );
    }

    #[test]
    fn a_database_that_is_down_is_told_in_words() {
        let mut look = look(1, 0, 0.0);
        look.status.stores.push(Store {
            label: "acme".to_owned(),
            trouble: Some("refused".to_owned()),
            ..Store::default()
        });
        let lines = of(&look, None, (80, 24), Lang::En);
        assert!(lines.iter().any(|line| line.contains("acme")), "{lines:#?}");
        assert_eq!(
            (age(61), age(7_260)),
            ("1 min 1 s".to_owned(), "2 h 1 min".to_owned())
        );
    }
}
