//! The Hikvision devices of a fleet: made from the scenario's groups, fed by its schedule.
//!
//! People come by the fleet's schedule; when they come is all that is shared with the push
//! terminals. A dialled device cannot deliver: it has delivered when every row was handed out, by
//! searches or on a stream that nothing was asked for again, and it goes on listening until the
//! fleet stops. After the end of the generation logins leave no rows in it, or it never would.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::device::Device;
use super::options::HikvisionGroup;
use super::post::Post;
use crate::fleet::Shared;
use crate::random::draw;
use crate::scenario::{Scenario, ScenarioError};
use crate::schedule::{Schedule, UNITS};

/// How often a device that should be empty is looked at.
const LOOK: Duration = Duration::from_millis(100);

const DRAW_SEED: u64 = 430;
const DRAW_PHASE: u64 = 431;

/// The Hikvision devices of a fleet.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    pub(crate) dialled: Vec<Arc<Device>>,
    pub(crate) posting: Vec<Arc<Post>>,
}

/// One of them, whichever it is.
#[derive(Debug, Clone)]
enum Member {
    Dialled(Arc<Device>),
    Posting(Arc<Post>),
}

impl Devices {
    /// Starts all of them; their tasks end when they have delivered after the generation.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        shift_s: i64,
        tasks: &TaskTracker,
    ) -> Result<Self, ScenarioError> {
        let mut devices = Self::default();
        let without_backlog = Scenario {
            backlog: 0,
            ..shared.scenario.clone()
        };
        let schedule = Arc::new(Schedule::new(&without_backlog));
        let mut place = 0;
        for group in &shared.scenario.hikvision {
            for member in devices.start_group(shared, shift_s, group, place)? {
                let phase = draw(shared.scenario.seed, DRAW_PHASE, place) % UNITS;
                let feed = feed(Arc::clone(shared), Arc::clone(&schedule), member, phase);
                tasks.spawn(feed);
                place += 1;
            }
        }
        Ok(devices)
    }

    fn start_group(
        &mut self,
        shared: &Arc<Shared>,
        shift_s: i64,
        group: &HikvisionGroup,
        place: u64,
    ) -> Result<Vec<Member>, ScenarioError> {
        let (zone, ledger) = (&shared.scenario.zone, shared.ledger());
        let seed = |n: u32| draw(shared.scenario.seed, DRAW_SEED, place + u64::from(n));
        let totals = || (Arc::clone(&shared.tally.hikvision), shift_s);
        let mut members = Vec::new();
        for n in 0..group.dialled {
            let options = group.device(n, zone, seed(n));
            let told = format!("{} on port {}", options.serial, options.port);
            let device = Device::with(options, ledger.clone(), totals());
            let wrong = |why| ScenarioError::new(format!("hikvision: {told}: {why}"));
            let device = Arc::new(device.map_err(wrong)?);
            self.dialled.push(Arc::clone(&device));
            members.push(Member::Dialled(device));
        }
        for n in 0..group.posting {
            let options = group.poster(n, zone, seed(group.dialled + n));
            let post = Post::with(options, ledger.clone(), totals());
            let wrong = |why| ScenarioError::new(format!("hikvision: {why}"));
            let post = Arc::new(post.map_err(wrong)?);
            self.posting.push(Arc::clone(&post));
            members.push(Member::Posting(post));
        }
        Ok(members)
    }
}

impl Member {
    async fn own_up(&self) -> io::Result<()> {
        match self {
            Self::Dialled(device) => device.own_up().await,
            Self::Posting(_) => Ok(()),
        }
    }

    async fn next_punch(&self) -> io::Result<u64> {
        match self {
            Self::Dialled(device) => device.next_punch().await,
            Self::Posting(post) => post.next_punch().await,
        }
    }

    /// It makes nothing any more, traces of logins neither.
    fn close(&self) {
        if let Self::Dialled(device) = self {
            device.close();
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Dialled(device) => device.unserved() == 0,
            Self::Posting(post) => post.pending() == 0,
        }
    }
}

/// Lets people in by the schedule, then waits until all of it was delivered.
async fn feed(shared: Arc<Shared>, schedule: Arc<Schedule>, member: Member, phase: u64) {
    let whole = async {
        generate(&shared, &schedule, &member, phase).await?;
        shared.drain.cancelled().await;
        member.close();
        while !member.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
        Ok::<(), io::Error>(())
    };
    tokio::select! {
        () = shared.stop.cancelled() => {}
        done = whole => {
            if let Err(why) = done {
                shared.tally.ledger_failed(&why);
                shared.stop.cancel();
            }
        }
    }
}

async fn generate(
    shared: &Shared,
    schedule: &Schedule,
    member: &Member,
    phase: u64,
) -> io::Result<()> {
    member.own_up().await?;
    let mut done = 0;
    loop {
        while done < schedule.count(shared.elapsed_ms(), phase) {
            member.next_punch().await?;
            done += 1;
        }
        let Some(due) = schedule.due_ms(done, phase) else {
            return Ok(());
        };
        if shared.drain.is_cancelled() {
            return Ok(());
        }
        tokio::select! {
            () = shared.drain.cancelled() => {}
            () = tokio::time::sleep_until(shared.instant(due)) => {}
        }
    }
}
