//! The program `sentinel`: a checklist. It reads the command line, hands over to the command
//! that was asked for, and leaves with that command's exit status: 0 fine, 1 failed, 78 wrong
//! configuration. What a command does stands in `cli`; nothing is decided here.

mod cli;

use std::process::ExitCode;
use std::time::Duration;

use daemon::exit::Exit;

/// What still runs after a command is done is not waited for.
const LEFTOVERS: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let asked = match cli::read() {
        Ok(asked) => asked,
        Err(other) => return cli::help_or_usage(&other).into(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            cli::complain(&format!("the program cannot start: {error}"));
            return Exit::Failed.into();
        }
    };
    let exit = runtime.block_on(cli::dispatch(asked));
    runtime.shutdown_timeout(LEFTOVERS);
    exit.into()
}
