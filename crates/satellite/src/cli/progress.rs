//! How far a long command is, for a person who waits: one line that is drawn again each second.
//!
//! Nothing is drawn where standard error is no terminal, and nothing is left of the line at the end.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use store::feed::EPOCH_BITS;

/// How often it is drawn.
const EVERY: Duration = Duration::from_secs(1);
/// Places of the bar.
const WIDTH: usize = 24;

/// The line.
pub(crate) struct Progress {
    shown: Instant,
    is_drawn: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            shown: Instant::now(),
            is_drawn: false,
        }
    }

    /// Draws it when it is time; without a share there is only the text.
    pub(crate) fn show(&mut self, share: Option<f64>, text: impl FnOnce() -> String) {
        if self.shown.elapsed() < EVERY || !io::stderr().is_terminal() {
            return;
        }
        (self.shown, self.is_drawn) = (Instant::now(), true);
        let bar = share.map(bar).unwrap_or_default();
        draw(&format!("\r\x1b[K{bar}{}", text()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_drawn {
            draw("\r\x1b[K");
        }
    }
}

/// A terminal that is gone needs no line.
fn draw(text: &str) {
    let mut to = io::stderr().lock();
    to.write_all(text.as_bytes()).and_then(|()| to.flush()).ok();
}

/// How far somebody is who reads the feed to its end.
pub(crate) struct Reach {
    end: i64,
    begin: Option<i64>,
}

impl Reach {
    /// The feed ends before this number.
    pub(crate) fn before(next_seq: i64) -> Self {
        Self {
            end: next_seq - 1,
            begin: None,
        }
    }

    /// Which part of it is read, up to this number. Numbers leap where an epoch begins, and how many
    /// an earlier one has nobody knows.
    pub(crate) fn share(&mut self, up_to: i64) -> Option<f64> {
        if up_to >> EPOCH_BITS != self.end >> EPOCH_BITS {
            return None;
        }
        let begin = *self.begin.get_or_insert(up_to);
        Some(share(up_to - begin, self.end - begin))
    }
}

/// Which part of the whole is done.
pub(crate) fn share(done: i64, whole: i64) -> f64 {
    let whole = whole.max(1);
    let done = done.clamp(0, whole);
    let thousandths = u16::try_from(i128::from(done) * 1_000 / i128::from(whole));
    f64::from(thousandths.unwrap_or(1_000)) / 1_000.0
}

/// `[######··················]  25 %  `
fn bar(share: f64) -> String {
    let places: String = (0..WIDTH)
        .map(|n| {
            let n = f64::from(u16::try_from(n).unwrap_or(u16::MAX)) + 0.5;
            let width = f64::from(u16::try_from(WIDTH).unwrap_or(u16::MAX));
            if n / width < share { '#' } else { '·' }
        })
        .collect();
    format!("[{places}] {:3.0} %  ", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_from_nothing_to_all_and_never_beyond() {
        assert_eq!([share(0, 0), share(3, 2)], [0.0, 1.0]);
        assert_eq!(bar(0.0), format!("[{}]   0 %  ", "·".repeat(24)));
        assert_eq!(
            bar(0.25),
            format!("[{}{}]  25 %  ", "#".repeat(6), "·".repeat(18))
        );
        assert_eq!(bar(1.0), format!("[{}] 100 %  ", "#".repeat(24)));
    }

    #[test]
    fn a_reader_of_the_feed_knows_its_share_of_the_last_epoch_alone() {
        let epoch = 7 << EPOCH_BITS;
        let mut reach = Reach::before(epoch + 2_001);
        assert_eq!(reach.share(5), None);
        let parts = [1_000, 1_250, 2_000].map(|n| reach.share(epoch + n));
        assert_eq!(parts, [Some(0.0), Some(0.25), Some(1.0)]);
    }
}
