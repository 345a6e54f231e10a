//! What a wrong configuration is told, and what a right one comes to.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

const TENANT: &str = "[[tenant]]\nid = \"acme\"\ntime_zone = \"America/Mexico_City\"\n";

fn read(text: &str) -> Result<Config, ConfigError> {
    Config::read(&Source::new("satellite.toml", text))
}

/// The whole message of a configuration that is wrong.
fn wrong(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn a_file_with_one_tenant_is_enough_and_gets_the_documented_defaults() {
    let config = read(TENANT).unwrap();
    assert_eq!(config.state_dir, Path::new("/var/lib/satellite"));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.listen.devices.to_string(), "0.0.0.0:8081");
    assert_eq!(config.listen.admin.to_string(), "127.0.0.1:9810");
    assert_eq!(config.listen.isup, None);
    assert_eq!(config.unknown, Unknown::Hold);
    let tenant = &config.tenants[0];
    assert!(tenant.set_clock);
    assert_eq!(
        (tenant.name.as_str(), tenant.zone.name()),
        ("acme", "America/Mexico_City")
    );
    assert_eq!(
        config.store,
        Target::Sqlite("/var/lib/satellite/events.db".into())
    );
}

#[test]
fn every_key_of_the_contract_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut secret = tempfile::NamedTempFile::new_in(folder.path()).unwrap();
    secret.write_all(b"pass-word-7\n").unwrap();
    let mode = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(secret.path(), mode).unwrap();
    let text = format!(
        r#"
state_dir = "/var/lib/satellite"
[listen]
devices = "0.0.0.0:18081"
admin = "127.0.0.1:19810"
public_url = "http://satelite.example.mx:8081/"
isup = "0.0.0.0:7660"
devices_tls = {{ address = "0.0.0.0:18443", certificate = "devices.crt", key = "devices.key" }}
[limits]
connections = 7
connections_per_address = 3
body = "1MiB"
in_flight = "2MiB"
handshakes = 9
handshake_seconds = 8
header_seconds = 4
body_seconds = 5
idle_seconds = 6
trusted_proxies = ["10.0.0.9", "10.1.0.0/16"]
requests_per_address = 50
requests_per_serial = 5
[store]
url = "mysql://satellite@127.0.0.1:3306/satellite"
password_file = "{}"
[enrolment]
unknown = "accept"
accept_into = "acme"
[[tenant]]
id = "acme"
name = "Acme S.A. de C.V."
time_zone = "America/Mexico_City"
set_clock = false
networks = ["203.0.113.0/24"]
keep = {{ quarantine = "365d", alarm = "1825d" }}
url = "mysql://acme@db.example.mx/acme"
[[tenant]]
id = "beta"
time_zone = "UTC"
[sentinel_guard]
health_url = "http://127.0.0.1:9811/healthz"
silent_after = "3m"
from = "satelite@example.mx"
to = ["soporte@example.mx"]
relays = ["smtp://127.0.0.1:25"]
"#,
        secret.path().display()
    );
    let config = read(&text).unwrap();
    assert_eq!(config.limits.body, 1 << 20);
    assert_eq!(config.limits.idle_time, Duration::from_secs(6));
    assert_eq!(config.limits.handshake_time, Duration::from_secs(8));
    let door = config.listen.devices_tls.as_ref().unwrap();
    assert_eq!(
        (door.address.port(), door.files.key.as_str()),
        (18443, "devices.key")
    );
    assert_eq!(config.limits.requests_per_serial, 5);
    assert!(config.limits.is_trusted("10.1.2.3".parse().unwrap()));
    assert!(!config.limits.is_trusted("10.2.2.3".parse().unwrap()));
    assert_eq!(config.tenants[0].networks.len(), 1);
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let alarm = (Class::Events(event::Kind::Alarm), days(1825));
    let keep = [alarm, (Class::Quarantine, days(365))];
    assert_eq!(config.tenants[0].keep, keep);
    let public = config.listen.public_url.as_deref();
    assert_eq!(public, Some("http://satelite.example.mx:8081"));
    assert_eq!(config.listen.isup, "0.0.0.0:7660".parse().ok());
    let acme = TenantId::new("acme").unwrap();
    assert_eq!(config.unknown, Unknown::Accept(acme.clone()));
    assert_eq!(
        config.target(&acme).unwrap().server(),
        Some("db.example.mx:3306")
    );
    let labels: Vec<_> = config
        .stores()
        .into_iter()
        .map(|(label, _)| label)
        .collect();
    assert_eq!(labels, ["store", "acme"]);
    let beta = TenantId::new("beta").unwrap();
    assert_eq!(config.target(&beta), Some(config.registry_target()));
    assert!(!format!("{config:?}").contains("pass-word-7"));
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    let message = wrong(&format!("[listen]\ndevises = \"0.0.0.0:1\"\n{TENANT}"));
    assert!(message.starts_with("satellite.toml:2:"), "{message}");
    assert!(
        message.contains("devises") && message.contains("devices"),
        "{message}"
    );
}

#[test]
fn each_wrong_value_is_told_with_its_line_and_key() {
    let guard =
        "[sentinel_guard]\nhealth_url = \"http://a\"\nsilent_after = \"3m\"\nfrom = \"a@b\"\n";
    let cases = [
        (String::new(), "tenant", "there is no tenant"),
        (
            format!("{TENANT}{TENANT}"),
            "satellite.toml:5:",
            "another tenant",
        ),
        (
            TENANT.replace("Mexico_City", "Mexico"),
            "satellite.toml:3:",
            "IANA",
        ),
        (
            format!("[limits]\nidle_seconds = 0\n{TENANT}"),
            "satellite.toml:2:",
            "1 to 3600",
        ),
        (
            format!("[limits]\nconnections = 0\n{TENANT}"),
            "satellite.toml:2:",
            "at least 1",
        ),
        (
            format!("[limits]\nbody = \"1KiB\"\n{TENANT}"),
            "satellite.toml:2:",
            "4KiB",
        ),
        (
            format!("[limits]\nin_flight = \"1MiB\"\n{TENANT}"),
            "satellite.toml:2:",
            "limits.body",
        ),
        (
            format!("[enrolment]\naccept_into = \"x\"\n{TENANT}"),
            "satellite.toml:2:",
            "no [[tenant]]",
        ),
        (
            format!("[listen]\npublic_url = \"ftp://x\"\n{TENANT}"),
            "satellite.toml:2:",
            "http://",
        ),
        (
            format!("[listen]\ndevices_tls = {{ address = \"0.0.0.0:1\", key = \"k\" }}\n{TENANT}"),
            "satellite.toml:2:",
            "certificate",
        ),
        (
            format!("[limits]\ntrusted_proxies = [\"10.0.0.0/33\"]\n{TENANT}"),
            "satellite.toml:2:",
            "is no network",
        ),
        (
            format!("{TENANT}networks = [\"x\"]\n"),
            "satellite.toml:4:",
            "is no network",
        ),
        (
            format!("{TENANT}keep = {{ punch = \"29d\" }}\n"),
            "satellite.toml:4:",
            "at least 30d",
        ),
        (
            format!("{TENANT}keep = {{ punches = \"1825d\" }}\n"),
            "satellite.toml:4:",
            "punches",
        ),
        (
            format!("[limits]\nrequests_per_serial = 0\n{TENANT}"),
            "satellite.toml:2:",
            "requests a second",
        ),
        (
            format!("[limits]\nhandshakes = 0\n{TENANT}"),
            "satellite.toml:2:",
            "at least 1",
        ),
        (
            format!("[store]\nurl = \"sqlite:///no/such/folder/x.db\"\n{TENANT}"),
            "satellite.toml:2:",
            "does not exist",
        ),
        (
            format!("[store]\nurl = \"sqlite:///tmp/x.db\"\npassword_file = \"p\"\n{TENANT}"),
            "satellite.toml:3:",
            "no password",
        ),
        (
            format!("[store]\nurl = \"mysql://u:secret@h/d\"\n{TENANT}"),
            "satellite.toml:2:",
            "password_file",
        ),
        (
            format!("{TENANT}password_file = \"x\"\n"),
            "satellite.toml:4:",
            "without a url",
        ),
        (
            format!("{TENANT}{guard}to = []\nrelays = [\"smtp://r\"]\n"),
            "satellite.toml:8:",
            "at least one",
        ),
        (
            format!("{TENANT}{guard}to = [\"c@d\"]\nrelays = [\"smtp://u:p@r\"]\n"),
            "satellite.toml:9:",
            "without a password",
        ),
    ];
    for (text, place, words) in cases {
        let message = wrong(&text);
        assert!(
            message.contains(place) && message.contains(words),
            "{text}\n→ {message}"
        );
        assert!(!message.contains("secret@"), "{message}");
    }
}

#[test]
fn accepting_unknown_terminals_needs_to_know_for_whom() {
    let accept = "[enrolment]\nunknown = \"accept\"\n";
    let only = read(&format!("{accept}{TENANT}")).unwrap();
    assert_eq!(
        only.unknown,
        Unknown::Accept(TenantId::new("acme").unwrap())
    );
    let two = format!("{accept}{TENANT}{}", TENANT.replace("acme", "beta"));
    assert!(wrong(&two).contains("accept_into"), "{}", wrong(&two));
}

#[test]
fn a_change_that_needs_a_restart_is_named_and_others_are_not() {
    let old = read(TENANT).unwrap();
    let mut next = old.clone();
    next.limits.connections = 5;
    next.unknown = Unknown::Reject;
    assert!(old.needs_restart(&next).is_empty());
    next.listen.devices.set_port(1);
    next.state_dir = "/elsewhere".into();
    assert_eq!(old.needs_restart(&next), ["listen.devices", "state_dir"]);
}

#[test]
fn the_built_in_defaults_need_no_file_and_hold_unknown_terminals() {
    let config = Config::in_folder(Path::new("/tmp/x"));
    assert_eq!(config.store, Target::Sqlite("/tmp/x/events.db".into()));
    assert_eq!(config.tenants.len(), 1);
    assert_eq!(config.tenants[0].id.as_str(), LOCAL_TENANT);
    assert_eq!(config.unknown, Unknown::Hold);
}

#[test]
fn every_mistake_is_told_in_spanish_too() {
    let several = format!("{TENANT}[[tenant]]\nid = \"beta\"\ntime_zone = \"America/Tijuana\"\n");
    for (text, spanish) in [
        ("", "no hay ningún cliente"),
        (
            "[[tenant]]\nid='a'\ntime_zone='Mars/Base'\n",
            "'Mars/Base' no es una zona horaria",
        ),
        (
            "[[tenant]]\nid='a b'\ntime_zone='UTC'\n",
            "solo puede llevar letras",
        ),
    ] {
        let told = read(text).unwrap_err().in_spanish();
        assert!(told.contains(spanish), "{told}");
    }
    for (more, spanish) in [
        ("[limits]\nconnections = 0\n", "debe ser al menos 1"),
        (
            "[limits]\nidle_seconds = 0\n",
            "debe ser de 1 a 3600 segundos",
        ),
        ("[limits]\nbody = '1KiB'\n", "debe ser de 4KiB a 1GiB"),
        (
            "[limits]\nbody = '2MiB'\nin_flight = '1MiB'\n",
            "no debe ser menor que",
        ),
        ("[listen]\ndevices = 'x'\n", "no es una dirección IP:PUERTO"),
        ("[listen]\npublic_url = 'x'\n", "escriba http://host:puerto"),
        (
            "[store]\nurl = 'sqlite:///nonexistent/x/e.db'\n",
            "no existe; créela primero",
        ),
        (
            "[store]\nurl = 'mysql://u:p@h/d'\n",
            "la URL trae una contraseña",
        ),
        (
            "[store]\nurl = 'mysql://u@h/d'\npassword_file = 'nope'\n",
            "no hay ninguna contraseña",
        ),
        (
            "[enrolment]\naccept_into = 'nobody'\n",
            "ningún [[tenant]] tiene este id",
        ),
        ("[enrolment]\nunknown = 'accept'\n", "con varios clientes"),
        ("[enrolment]\nunknown = 'acept'\n", "¿quiso decir 'accept'?"),
    ] {
        let told = read(&format!("{more}{several}")).unwrap_err().in_spanish();
        assert!(told.contains(spanish), "{told}");
        assert!(told.starts_with("satellite.toml:"), "{told}");
    }
}

/// A folder with a token's file.
fn with_token(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let name = file.display().to_string();
    (folder, name)
}

#[test]
fn two_values_make_an_edge_that_delivers_everything_from_the_start_and_gives_nothing_up() {
    let (_folder, file) = with_token("0123456789abcdef0123456789abcdef\n");
    let edge = format!("[edge]\nto = \"https://cloud:8443\"\ntoken_file = \"{file}\"\n");
    let config = read(&format!("{edge}{TENANT}")).unwrap();
    let output = config.outputs.last().unwrap();
    assert_eq!((output.name.as_str(), output.to.kind()), ("edge", "edge"));
    assert!(output.from_start && output.kinds.is_empty());
    assert!(output.give_up_after > Duration::from_secs(50 * 365 * 24 * 3600));
    assert!(!format!("{config:?}").contains("0123456789abcdef"));

    let second = TENANT.replace("acme", "other");
    let named = |text: &str, key: &str| {
        let told = wrong(text);
        assert!(told.contains(key), "{told}");
    };
    named(
        &format!("{edge}{TENANT}{second}"),
        "an edge is one tenant's",
    );
    named(
        &format!("{}{TENANT}", edge.replace("https", "http")),
        "'to' in [edge]",
    );
    named(
        &format!("{}{TENANT}", edge.replace("8443", "8443/x?y=1")),
        "'to' in [edge]",
    );
    let inner = format!(
        "{}allow_internal = true\n{TENANT}",
        edge.replace("https", "http")
    );
    assert!(read(&inner).is_ok());
    let (_other, short) = with_token("short");
    named(
        &format!("{}{TENANT}", edge.replace(&file, &short)),
        "token_file",
    );
    named(
        &format!("{}{TENANT}", edge.replace(&file, "/nowhere/token")),
        "token_file",
    );
    named(&format!("{edge}ca_file = \"{file}x\"\n{TENANT}"), "ca_file");
}

#[test]
fn what_the_command_line_says_of_an_edge_stands_in_place_of_the_file() {
    let (folder, file) = with_token("0123456789abcdef0123456789abcdef");
    let config = folder.path().join("satellite.toml");
    std::fs::write(&config, TENANT).unwrap();
    let given = |to: Option<&str>, token: Option<&str>| Given {
        file: Some(config.clone()),
        edge: Some(AsEdge {
            to: to.map(|to| to.parse().unwrap()),
            token_file: token.map(PathBuf::from),
        }),
    };
    let made = given(Some("https://cloud"), Some(&file)).load().unwrap();
    assert_eq!(made.edge.as_ref().unwrap().to.host(), "cloud");
    assert_eq!(made.outputs.len(), 1);
    for (to, token) in [
        (None, None),
        (Some("https://cloud"), None),
        (None, Some(file.as_str())),
    ] {
        assert!(given(to, token).load().is_err());
    }
    let plain = given(Some("http://cloud"), Some(&file)).load().unwrap_err();
    assert!(plain.to_string().contains("--to"), "{plain}");
    let table = format!("[edge]\nto = \"https://first\"\ntoken_file = \"{file}\"\n{TENANT}");
    std::fs::write(&config, table).unwrap();
    let made = given(Some("https://second"), None).load().unwrap();
    assert_eq!(made.edge.unwrap().to.host(), "second");
    assert_eq!(made.outputs.len(), 1);
}

#[test]
fn a_folder_for_each_days_file_needs_a_whole_path_and_nothing_of_another_kind() {
    let output = |more: &str| {
        let head = "[[output]]\nname = \"daily\"\ntenant = \"acme\"\nkind = \"folder\"\n";
        format!("{TENANT}\n{head}{more}\n")
    };
    let config = read(&output("folder = \"/srv/daily\"")).unwrap();
    let made = &config.outputs[0];
    let Receiver::Folder(daily) = &made.to else {
        panic!("{made:?}");
    };
    assert_eq!((daily.format, daily.every.as_secs()), (Format::Csv, 3_600));
    // Nothing is given up: a day is marked or waits.
    assert!(made.give_up_after > Duration::from_secs(50 * 365 * 24 * 3600));
    for (more, key) in [
        ("", "'folder'"),
        ("folder = \"daily\"", "'folder'"),
        ("folder = \"/srv\"\nevery = \"0s\"", "'every'"),
        (
            "folder = \"/srv\"\ngive_up_after = \"1d\"",
            "'give_up_after'",
        ),
        ("folder = \"/srv\"\nurl = \"https://a.example\"", "'url'"),
        ("folder = \"/srv\"\nformat = \"xls\"", "xls"),
    ] {
        let told = wrong(&output(more));
        assert!(told.contains(key), "{more}: {told}");
    }
}
