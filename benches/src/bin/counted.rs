//! The satellite daemon with an allocator that counts, for `benches allocations`.
//!
//! It is the whole daemon as `satellite run` runs it. For each line that comes in, a line goes
//! out with the allocations so far and their bytes. Nothing else may be added here: what this
//! program allocates itself would be told as the daemon's.

use std::alloc::System;
use std::io::BufRead as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use satellite::config::Given;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> Result<()> {
    let file = std::env::args_os().nth(1).map(PathBuf::from);
    let given = Given {
        file: Some(file.context("usage: counted FILE")?),
        edge: None,
    };
    std::thread::spawn(answer);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(satellite::lifecycle::run(given))?;
    Ok(())
}

/// Tells the counts whenever it is asked.
fn answer() {
    for asked in std::io::stdin().lock().lines() {
        if asked.is_err() {
            return;
        }
        let counted = ALLOCATOR.stats();
        let allocations = counted.allocations + counted.reallocations;
        println!("{allocations} {}", counted.bytes_allocated);
    }
}
