//! How many sockets this process may open, and what to do when that is too few.
//!
//! A run that hits the limit half-way reports failures which look like the server's. The
//! program therefore asks here before it starts. Nothing here changes a limit.

/// Open files that the process needs besides one socket for each terminal.
const BESIDES: u64 = 64;

/// What to tell the user when the limit on open files is too low for so many terminals;
/// `None` when it suffices or cannot be read (other systems than Linux).
pub fn advice(terminals: u32) -> Option<String> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let allowed = soft_limit(&limits)?;
    let needed = u64::from(terminals) + BESIDES;
    (allowed < needed).then(|| {
        format!(
            "{terminals} terminals need {needed} open files and this process may open {allowed}.\n\
             Raise the limit first:  ulimit -n {needed}   (in a systemd unit: LimitNOFILE={needed})"
        )
    })
}

/// The soft limit in the text of `/proc/self/limits`; an unlimited one is the largest number.
fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_read_from_the_kernels_table() {
        let table = "Limit                     Soft Limit           Hard Limit           Units\n\
                     Max open files            1024                 1048576              files\n";
        assert_eq!(soft_limit(table), Some(1024));
        assert_eq!(
            soft_limit("Max open files   unlimited  unlimited files"),
            Some(u64::MAX)
        );
        assert_eq!(soft_limit("nothing of the kind"), None);
    }

    #[test]
    fn too_few_descriptors_are_told_with_the_command_that_helps() {
        assert_eq!(advice(0), None);
        let told = advice(u32::MAX).unwrap();
        assert!(told.contains("ulimit -n 4294967359"), "{told}");
    }
}
