//! Letters as their readers see them: whom a link names, and what is never promised by one.

use daemon::config::Source;
use jiff::SignedDuration;
use notify::AckLink;

use super::*;
use crate::kind::Kind;
use crate::observation::{Observation, Round, Trouble};

const FILE: &str = "public_url = 'https://s.example.mx'\n\
    [[watch.store]]\ntenant = 'acme'\nurl = 'sqlite:///a.db'\n\
    [mail]\nfrom = 's@x.mx'\nrelays = ['smtp://r']\n\
    [[level]]\nto = [{ address = 'uno@x.mx' }, { address = 'one@x.mx', language = 'en' }]\n";

fn config() -> Config {
    Config::read(&Source::new("t.toml", FILE)).unwrap()
}

/// Open incidents of these kinds, each of its own.
fn incidents(config: &Config, kinds: &[Kind]) -> (Vec<Incident>, Timestamp) {
    let mut now: Timestamp = "2026-11-26T15:00:00Z".parse().unwrap();
    let mut core = Core::default();
    let setting = Setting {
        config,
        links: None,
    };
    for _ in 0..120 {
        let troubles = kinds.iter().copied().map(Trouble::new).collect();
        let seen = Observation::wrong(Subject::Satellite, now, troubles);
        core.observe("satellite", &Round::one(seen), now);
        core.tick(setting, now);
        now += SignedDuration::from_secs(1);
    }
    (core.open_incidents().cloned().collect(), now)
}

#[test]
fn a_digest_of_what_waited_has_a_link_for_each_incident_that_is_its_readers_own() {
    let (config, folder) = (config(), tempfile::tempdir().unwrap());
    let links = AckLink::open(folder.path()).unwrap();
    let kinds = [Kind::QuarantineGrowing, Kind::SatelliteRestarts];
    let (open, now) = incidents(&config, &kinds);
    assert_eq!(open.len(), 2);
    let with = |links| Setting {
        config: &config,
        links,
    };
    let letters = digest(with(Some(&links)), &open, 0, now);
    assert_eq!(letters.len(), 2);
    for letter in &letters {
        let text = letter.body.text();
        for incident in &open {
            let id = incident.id.to_string();
            let link = links.link("https://s.example.mx", &id, letter.to.address());
            assert!(text.contains(&link), "{link} in {text}");
        }
        assert!(!text.contains("sentinel ack"), "{text}");
    }
    // Without a key there are no links, and the command stands there instead.
    for letter in digest(with(None), &open, 0, now) {
        assert!(letter.body.text().contains("sentinel ack INC-2026-000001"));
    }
}

#[test]
fn what_somebody_attended_to_is_not_said_to_have_recovered_by_itself() {
    let config = config();
    let (mut open, now) = incidents(&config, &[Kind::QuarantineGrowing]);
    let setting = Setting {
        config: &config,
        links: None,
    };
    let read = |incident: &Incident| {
        let context = Context::new(setting, incident, &Core::default(), now);
        let contacts = config.levels.iter().flat_map(|level| &level.to);
        contacts
            .map(|contact| write(&context, Step::Closed, contact).body.text())
            .collect::<String>()
    };
    let alone = read(&open[0]);
    open[0].acknowledged = Some((now, "ana".to_owned()));
    let attended = read(&open[0]);
    for words in ["Se recuperó por sí solo.", "It recovered by itself."] {
        assert!(alone.contains(words), "{alone}");
        assert!(!attended.contains(words), "{attended}");
    }
    for words in ["Anote la causa", "sentinel incidents cause INC-2026-000001"] {
        assert!(
            alone.contains(words) && attended.contains(words),
            "{attended}"
        );
    }
}
