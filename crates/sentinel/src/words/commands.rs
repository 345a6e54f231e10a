//! The commands that a letter ends with: what to type next, most useful first.
//!
//! `{serial}`, `{tenant}` and `{output}` are filled in where the incident knows a name that is
//! plain; never anything that a shell could take for more than a name.

pub(super) const SATELLITE: &[&str] = &[
    "systemctl status satellite",
    "journalctl -u satellite -n 50",
    "systemctl restart satellite",
];
pub(super) const STALL: &[&str] = &[
    "satellite doctor",
    "mariadb -e 'SHOW FULL PROCESSLIST'",
    "systemctl restart satellite",
];
pub(super) const STORE: &[&str] = &[
    "systemctl status mariadb",
    "journalctl -u mariadb -n 50",
    "df -h",
    "satellite doctor",
];
pub(super) const READ_ONLY: &[&str] = &[
    "mariadb -E -e 'SHOW REPLICA STATUS'",
    "mariadb -e 'SET GLOBAL read_only = 0'",
    "satellite doctor",
];
pub(super) const DURABLE: &[&str] = &[
    "mariadb -e 'SET GLOBAL innodb_flush_log_at_trx_commit = 1'",
    "mariadb -e 'SET GLOBAL sync_binlog = 1'",
    "satellite doctor",
];
pub(super) const SESSIONS: &[&str] = &[
    "mariadb -e 'SHOW FULL PROCESSLIST'",
    "satellite doctor",
    "uptime",
];
pub(super) const REPLICA: &[&str] = &[
    "mariadb -E -e 'SHOW REPLICA STATUS'",
    "mariadb -e \"SHOW STATUS LIKE 'wsrep%'\"",
];
pub(super) const TERMINAL: &[&str] = &[
    "satellite trace {serial}",
    "satellite devices show {serial}",
];
pub(super) const DOOR: &[&str] = &[
    "sentinel check --connect",
    "satellite devices list --tenant {tenant}",
    "satellite quarantine list",
];
pub(super) const PENDING: &[&str] = &["satellite devices list --state pending"];
pub(super) const ATTACK: &[&str] = &[
    "satellite lockdown on",
    "satellite devices list --state pending",
    "journalctl -u satellite -n 50",
];
pub(super) const LOCKDOWN: &[&str] = &["satellite lockdown status", "satellite lockdown off"];
pub(super) const OUTPUT: &[&str] = &[
    "satellite outputs list",
    "satellite outputs resume {output}",
];
pub(super) const INPUT: &[&str] = &["satellite doctor", "satellite devices list"];
pub(super) const LETTERS: &[&str] = &[
    "satellite outputs list",
    "satellite outputs replay {output} --dead",
];
pub(super) const HOST: &[&str] = &["sentinel status", "uptime", "free -h", "df -h"];
pub(super) const DISK: &[&str] = &["df -h", "journalctl --vacuum-time=7d"];
pub(super) const MAIL: &[&str] = &["sentinel mail test", "journalctl -u sentinel -n 50"];
pub(super) const STATUS: &[&str] = &["sentinel status", "sentinel check"];
pub(super) const COPIES: &[&str] = &[
    "satellite backup plan",
    "satellite backup run",
    "journalctl -u satellite-backup -n 50",
];
pub(super) const SHIPPING: &[&str] = &[
    "systemctl status satellite-ship",
    "satellite backup ship --once",
    "satellite backup plan",
];
pub(super) const PROOF: &[&str] = &[
    "satellite backup verify",
    "journalctl -u satellite-verify -n 50",
];
pub(super) const LIST: &[&str] = &["sentinel checklist --tenant {tenant}"];
