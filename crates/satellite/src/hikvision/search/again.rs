//! Windows of time that the device is asked for again, beside its usual search.
//!
//! Asked by time, page by page, and stored by the same way as everything else: what is there
//! already is folded. The newest records are looked at whenever the usual pause is over, so that
//! a live punch waits for one page of this at most. A device that cannot be searched ends the
//! window with that reason.

use std::sync::Arc;
use std::time::Duration;

use event::Route;
use hikvision_isapi::{Capabilities, SearchRange, TimeWindow, Walk, WalkStep};
use tokio::time::Instant;

use super::{Brought, Halt, Mode, SHORT_TRIES, Search, search_id, sorted};
use crate::again::Window;
use crate::detail::Says;

/// Longest piece that is asked for at once. One that holds more records than the device has
/// positions for is halved.
const CHUNK: Duration = Duration::from_secs(24 * 3_600);
/// Shortest piece.
const LEAST: Duration = Duration::from_secs(1);

impl Search<'_> {
    /// Works on windows that were asked for, until the next round is due.
    pub(super) async fn again(&mut self, mode: Mode, began: Instant) -> Result<(), Halt> {
        let known = Arc::clone(&self.intake.known);
        while let Some(mut asked) = known.again().take() {
            let (Mode::Serials(can) | Mode::Times(can)) = mode else {
                asked.ended(Err("the device has no event search".to_owned()));
                continue;
            };
            let mut longest = CHUNK;
            while let Some(chunk) = asked.next_chunk(longest) {
                match self.chunk(&chunk, &can, mode).await {
                    Ok(None) if longest > LEAST => longest /= 2,
                    Ok(None) => {
                        let why = "a second of it holds more records than the device hands out";
                        known.again().failed(asked, why);
                        return Ok(());
                    }
                    Ok(Some((records, new))) => {
                        asked.stored(chunk.to, records, new);
                        if began.elapsed() >= self.interval() {
                            known.hikvision().wake();
                            known.again().put_back(asked);
                            return Ok(());
                        }
                    }
                    Err(halt) => {
                        known.again().failed(asked, &format!("{halt:?}"));
                        return Err(halt);
                    }
                }
            }
            asked.ended(Ok(()));
        }
        Ok(())
    }

    /// Asks for one piece and stores it: how many records came and how many were new. `None`
    /// when it holds more than the device hands out.
    async fn chunk(
        &mut self,
        chunk: &Window,
        can: &Capabilities,
        mode: Mode,
    ) -> Result<Option<(u64, u64)>, Halt> {
        let window = TimeWindow {
            from: chunk.from,
            to: chunk.to,
            is_last: false,
        };
        let zone = &self.intake.known.device.zone;
        let (from, to) = window.texts(zone.offset_seconds_at(window.to));
        let range = SearchRange::Times { from, to };
        for attempt in 1.. {
            let walk = Walk::new(range.clone(), can.page, can.position_limit, search_id());
            match self.pages(walk, can, mode).await? {
                // It ended before all that it had counted came.
                (WalkStep::Short, ..) if attempt < SHORT_TRIES => {}
                (WalkStep::TooMany, ..) => return Ok(None),
                (WalkStep::Stuck, ..) => return Err(Halt::Answer(Says::PagesLie.into())),
                (_, records, new) => return Ok(Some((records, new))),
            }
        }
        Ok(None)
    }

    /// Reads and stores every page; how the search ended, and what came.
    async fn pages(
        &mut self,
        mut walk: Walk,
        can: &Capabilities,
        mode: Mode,
    ) -> Result<(WalkStep, u64, u64), Halt> {
        let by_serial = matches!(mode, Mode::Serials(_));
        let (mut records, mut new) = (0, 0);
        let mut looked = Instant::now();
        loop {
            let question = walk.question().clone();
            let page = self.ask(&question).await?;
            let step = walk.take(&page);
            let brought = sorted(page, Route::Backfill);
            records += count(&brought);
            new += self.intake.again(&brought, by_serial).await?.new;
            if step != WalkStep::Next {
                return Ok((step, records, new));
            }
            if by_serial && looked.elapsed() >= self.interval() {
                self.newest(can).await?;
                looked = Instant::now();
            }
        }
    }
}

fn count(brought: &Brought) -> u64 {
    let count = brought.records.len() + brought.aside.len();
    u64::try_from(count).unwrap_or(u64::MAX)
}
