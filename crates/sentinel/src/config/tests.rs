//! What the file may say, and what is told when it says something else.

use super::*;

fn read(text: &str) -> Result<Config, ConfigError> {
    Config::read(&Source::new("sentinel.toml", text))
}

/// The example of the contract.
const CONTRACT: &str = r#"
state_dir = "/var/lib/sentinel"
language = "es"
time_zone = "America/Mexico_City"
public_url = "https://sentinela.example.mx"
[listen]
admin = "127.0.0.1:9811"
[watch]
satellite_admin = "http://127.0.0.1:9810"
satellite_unit = "satellite.service"
[[watch.terminal_url]]
url = "http://satelite.example.mx:8081"
[[watch.store]]
tenant = "acme"
url = "mysql://sentinel@127.0.0.1:3306/satellite"
[mail]
from = "sentinela@example.mx"
relays = ["smtp://relay1.example.mx:587", "smtp://relay2.example.mx:587"]
[[level]]
name = "Nivel de atención 1"
after = "0m"
to = [{ address = "soporte@example.mx", language = "es", phone = "+52 442 000 0000" }]
hours = "Mon-Sun 09:00-18:30"
critical_any_time = true
"#;

#[test]
fn the_file_of_the_contract_is_read() {
    let config = read(CONTRACT).unwrap();
    assert_eq!(config.watch.stores[0].tenant, "acme");
    assert_eq!(config.mail.unwrap().relays.len(), 2);
    let level = &config.levels[0];
    assert_eq!(level.to[0].phone.as_deref(), Some("+52 442 000 0000"));
    assert_eq!(level.to[0].language, Language::Spanish);
    let at = |text: &str| text.parse().unwrap();
    let (morning, night) = (at("2026-11-26T15:00:00Z"), at("2026-11-26T07:00:00Z"));
    assert!(level.tells(Severity::Warning, morning));
    assert!(!level.tells(Severity::Warning, night));
    assert!(level.tells(Severity::Critical, night));
    assert!(!level.tells(Severity::Notice, morning));
}

#[test]
fn levels_without_a_time_are_told_after_0_15_and_45_minutes() {
    let level = "[[level]]\nto=[{address='a@x.mx'}]\n";
    let text = format!(
        "[mail]\nfrom='s@x.mx'\nrelays=['smtp://r']\n{}",
        level.repeat(3)
    );
    let config = read(&text).unwrap();
    let minutes = config.levels.iter().map(|level| level.after.as_secs() / 60);
    assert_eq!(minutes.collect::<Vec<_>>(), [0, 15, 45]);
    assert_eq!(config.levels[2].name, "Nivel de atención 3");
}

#[test]
fn whatever_is_wrong_is_told_with_file_line_and_key() {
    let with_mail = |level: &str| format!("[mail]\nfrom='s@x.mx'\nrelays=['smtp://r']\n{level}");
    for (text, expected) in [
        (
            "langauge='es'\n",
            "sentinel.toml:1: unknown key 'langauge'; did you mean 'language'?",
        ),
        (
            "language='it'\n",
            "sentinel.toml:1: key 'language': unknown word 'it'",
        ),
        (
            "\ntime_zone='Mexico'\n",
            "sentinel.toml:2: key 'time_zone': is no IANA",
        ),
        (
            "holidays=['2026-02-30']\n",
            "sentinel.toml:1: key 'holidays': `2026-02-30` names no day",
        ),
        (
            "daily_mail='25:00'\n",
            "sentinel.toml:1: key 'daily_mail': is no time",
        ),
        (
            "recovered_after='5s'\n",
            "sentinel.toml:1: key 'recovered_after': must be from",
        ),
        (
            "[watch]\nsatellite_unit='-x'\n",
            "sentinel.toml:2: key 'satellite_unit' in [watch]",
        ),
        (
            "[mail]\nfrom='x'\nrelays=['smtp://r']\n",
            "sentinel.toml:2: key 'from' in [mail]",
        ),
        (
            "[mail]\nfrom='s@x.mx'\nrelays=['http://r']\n",
            "sentinel.toml:3: key 'relays' in [mail]",
        ),
        (
            "[mail]\nfrom='s@x.mx'\nrelays=[]\n",
            "sentinel.toml:3: key 'relays' in [mail]: must list",
        ),
        (
            "[mail]\nfrom='s@x.mx'\nuser='u'\nrelays=['smtp://r']\n",
            "sentinel.toml:3: key 'user'",
        ),
        (
            "[[level]]\nto=[{address='a@x.mx'}]\n",
            "levels name mail addresses",
        ),
        (
            &with_mail("[[level]]\nto=[]\n"),
            "sentinel.toml:5: key 'to' in [[level]]",
        ),
        (
            &with_mail("[[level]]\nto=[{webhook='w'}]\n"),
            "no [[webhook]] with the name 'w'",
        ),
        (
            &with_mail("[[level]]\nto=[{}]\n"),
            "either an address or a webhook",
        ),
        (
            "[promise.app]\nrto_min='3h'\nrto_max='2h'\n",
            "sentinel.toml:3: key 'rto_max' in [promise.app]: must not be shorter",
        ),
        (
            "[[watch.store]]\ntenant='a'\nurl='mysql://u:hunter2@h/d'\n",
            "sentinel.toml:3: key 'url' in [[watch.store]]",
        ),
    ] {
        let error = read(text).unwrap_err();
        let told = error.to_string();
        assert!(told.contains(expected), "{told}\nshould hold {expected}");
        let spanish = error.in_spanish();
        for told in [&told, &spanish] {
            assert!(!told.contains("hunter2"), "{told}");
        }
        for word in [
            "key ",
            " is ",
            "must",
            "there",
            "either",
            "levels name",
            "write",
        ] {
            assert!(!spanish.contains(word), "{word:?} in {spanish}");
        }
    }
}

#[test]
fn the_promises_of_the_customers_plan_are_shipped_and_none_is_invented() {
    let promises = Promises::default();
    let hours = |class| {
        let it = promises.of(class);
        let hours = |it: Duration| it.as_secs() / 3600;
        (it.rpo.map(hours), hours(it.rto_min), hours(it.rto_max))
    };
    use crate::Class;
    assert_eq!(hours(Class::Component), (Some(3), 2, 3));
    assert_eq!(hours(Class::Host), (None, 4, 5));
    assert_eq!(hours(Class::Security), (None, 3, 4));
    assert_eq!(hours(Class::Mail), (None, 2, 3));
}

#[test]
fn a_posting_address_of_a_canary_is_taken_whole_as_a_path_or_as_a_token_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let with = |text: &str, key: &str| {
        std::fs::write(&file, text).unwrap();
        let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, own).unwrap();
        let store = "[[watch.store]]\ntenant='a'\nurl='sqlite:///x.db'\n";
        read(&format!("{store}{key}='{}'\n", file.display()))
    };
    for (text, key, path) in [
        (
            "https://x/a/ingest/t0ken\n",
            "ingest_canary_file",
            "/ingest/t0ken",
        ),
        ("/ingest/t0ken", "ingest_canary_file", "/ingest/t0ken"),
        ("t0ken", "ingest_canary_file", "/ingest/t0ken"),
        ("t0ken", "hikvision_canary_file", "/hikvision/t0ken"),
    ] {
        let config = with(text, key).unwrap();
        let [CanaryDoor::Hikvision(read) | CanaryDoor::Ingest(read)] =
            config.watch.stores[0].canaries.as_slice()
        else {
            panic!("{config:?}");
        };
        assert_eq!(read.expose(), path);
        assert!(!format!("{config:?}").contains("t0ken"));
    }
    for wrong in [
        "https://x/hikvision/hunter2",
        "hunter2 hunter2",
        "/ingest/hunter2?x=1",
        "/ingest/",
    ] {
        let error = with(wrong, "ingest_canary_file").unwrap_err();
        for told in [error.to_string(), error.in_spanish()] {
            assert!(told.contains("sentinel.toml:4: "), "{told}");
            assert!(told.contains("ingest_canary_file"), "{told}");
            assert!(told.contains("/ingest/"), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}

#[test]
fn a_canary_of_a_broker_is_read_whole_and_refused_with_the_key_that_is_wrong() {
    let with = |keys: &str| {
        let store = "[[watch.store]]\ntenant='a'\nurl='sqlite:///x.db'\n";
        read(&format!("{store}[watch.store.mqtt_canary]\n{keys}"))
    };
    let good = "url='mqtts://broker'\ntopic='plant/C-1/punch'\nserial='C-1'\n";
    let config = with(good).unwrap();
    let [CanaryDoor::Mqtt(canary)] = config.watch.stores[0].canaries.as_slice() else {
        panic!("{config:?}");
    };
    assert_eq!((canary.url.port(), canary.allow_internal), (8883, false));
    assert_eq!(
        (canary.topic.as_str(), canary.serial.as_str()),
        ("plant/C-1/punch", "C-1")
    );
    let inner = good.replace("mqtts", "mqtt") + "allow_internal=true\n";
    assert!(with(&inner).is_ok());
    for (keys, key) in [
        (good.replace("mqtts", "mqtt"), "sentinel.toml:5: key 'url'"),
        (good.replace("mqtts", "https"), "sentinel.toml:5: key 'url'"),
        (
            good.replace("//", "//u:hunter2@"),
            "sentinel.toml:5: key 'url'",
        ),
        (
            good.replace("broker", "broker/x"),
            "sentinel.toml:5: key 'url'",
        ),
        (good.replace("C-1/p", "+/p"), "sentinel.toml:6: key 'topic'"),
        (
            good.replace("C-1/p", "{serial}/p"),
            "sentinel.toml:6: key 'topic'",
        ),
        (format!("{good}user='u'\n"), "sentinel.toml:8: key 'user'"),
        (
            format!("{good}ca_file='/none'\n"),
            "sentinel.toml:8: key 'ca_file'",
        ),
        (format!("{good}pasword_file='x'\n"), "pasword_file"),
    ] {
        let error = with(&keys).unwrap_err();
        let told = error.to_string();
        assert!(told.contains(key), "{told}\nshould hold {key}");
        for told in [told, error.in_spanish()] {
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
