//! What the other tests take for granted of a private server: its settings are what its
//! flavour says, faults are real, and nothing stays behind.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use mariadb::{Flavor, Server, shared};

/// A server variable as the client prints it; the error itself when it cannot be read, so that
/// the comparison in the test shows it.
fn setting(server: &Server, name: &str) -> String {
    let value = server.sql(&format!("SELECT @@{name};"));
    value.map_or_else(|error| error.to_string(), |value| value.trim().to_owned())
}

/// Whether the kernel holds the server's process stopped: state `T` in its `stat` file.
fn is_stopped(server: &Server) -> bool {
    let stat = format!("/proc/{}/stat", server.process_id().unwrap_or(0));
    let stat = std::fs::read_to_string(stat).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|state| state.starts_with('T'))
}

#[test]
fn a_durable_server_flushes_every_commit() {
    let server = Server::start(Flavor::Durable).unwrap();
    assert_eq!(setting(&server, "innodb_flush_log_at_trx_commit"), "1");
    assert_eq!(setting(&server, "sync_binlog"), "1");
    assert_eq!(setting(&server, "log_bin"), "1");
    assert_eq!(setting(&server, "innodb_doublewrite"), "1");
    assert_eq!(
        setting(&server, "innodb_buffer_pool_size"),
        (256 << 20).to_string()
    );
    assert!(setting(&server, "sql_mode").contains("STRICT_TRANS_TABLES"));
}

#[test]
fn a_xampp_server_is_small_and_lax() {
    let server = Server::start(Flavor::Xampp).unwrap();
    assert_eq!(setting(&server, "innodb_flush_log_at_trx_commit"), "1");
    assert_eq!(
        setting(&server, "max_allowed_packet"),
        (1 << 20).to_string()
    );
    assert_eq!(
        setting(&server, "innodb_buffer_pool_size"),
        (16 << 20).to_string()
    );
    assert_eq!(setting(&server, "max_connections"), "151");
    assert_eq!(setting(&server, "GLOBAL.sql_mode"), "");
    assert_eq!(setting(&server, "character_set_server"), "latin1");
}

#[test]
fn a_killed_server_comes_back_on_its_port_with_what_it_committed() {
    let server = Server::start(Flavor::Durable).unwrap();
    let port = server.port();
    server.create_database("acme").unwrap();
    server
        .sql("CREATE TABLE acme.t (n INT); INSERT INTO acme.t VALUES (7);")
        .unwrap();
    server.kill9().unwrap();
    assert!(server.sql("SELECT 1;").is_err(), "a killed server answered");
    assert!(server.kill9().is_err(), "a server was killed twice");
    server.restart().unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(server.sql("SELECT n FROM acme.t;").unwrap(), "7\n");
}

#[test]
fn a_paused_server_hangs_and_then_goes_on() {
    let server = Server::start(Flavor::Xampp).unwrap();
    // The kernel stops and wakes the threads a moment after the signal.
    let reaches = |stopped: bool| {
        let start = Instant::now();
        while is_stopped(&server) != stopped {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "stopped: {}",
                !stopped
            );
            std::thread::yield_now();
        }
    };
    server.pause().unwrap();
    reaches(true);
    server.resume().unwrap();
    reaches(false);
    assert_eq!(server.sql("SELECT 1;").unwrap(), "1\n");
    server.pause().unwrap();
    server.stop().unwrap();
    assert_eq!(server.process_id(), None);
}

#[test]
fn the_user_satellite_works_inside_databases_and_has_no_super() {
    let server = Server::start(Flavor::Durable).unwrap();
    server.create_database("acme").unwrap();
    let as_satellite = |statement: &str| {
        Command::new("mariadb")
            .args([
                "--no-defaults",
                "--host=127.0.0.1",
                "--user=satellite",
                "--batch",
            ])
            .arg(format!("--port={}", server.port()))
            .args(["--database=acme", "--execute", statement])
            .output()
            .unwrap()
    };
    let made = as_satellite("CREATE TABLE t (n INT); CREATE VIEW v AS SELECT n FROM t;");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let refused = as_satellite("SET GLOBAL max_connections = 10;");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("SUPER") || said.contains("Access denied"),
        "{said}"
    );
}

#[test]
fn a_dropped_server_leaves_neither_process_nor_directory() {
    let server = Server::start(Flavor::Xampp).unwrap();
    let process = format!("/proc/{}", server.process_id().unwrap());
    let data = server.sql("SELECT @@datadir;").unwrap();
    let directory = Path::new(data.trim()).parent().unwrap().to_owned();
    assert!(directory.is_dir());
    drop(server);
    assert!(!directory.exists());
    assert!(!Path::new(&process).exists());
}

#[test]
fn tests_that_share_a_server_get_databases_of_their_own() {
    let one = shared(Flavor::Durable).unwrap();
    let same = shared(Flavor::Durable).unwrap();
    assert_eq!(one, same);
    let first = one.fresh_database("promise").unwrap();
    let second = same.fresh_database("promise").unwrap();
    assert_ne!(first, second);
    assert_eq!(one.sql(&format!("SHOW TABLES IN {first};")).unwrap(), "");
    assert!(
        one.url(&first)
            .ends_with(&format!(":{}/{first}", one.port()))
    );
}
