//! Every sentence has its Spanish, and none is taken for another.

use std::io;
use std::path::PathBuf;

use daemon::config::secret_file;
use zkteco_pull::{Error, Unread};

use super::*;

/// Values that a sentence may hold, hostile ones among them.
const VALUES: [&str; 6] = [
    "13",
    "ATTLOG",
    "no {} here",
    "from a to b",
    "x: y, z; w",
    "",
];

/// All texts, ours and others'.
fn all() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    OURS.iter().chain(others::OTHERS).chain(carried::CARRIED)
}

/// Fails when a sentence, or a part of one, is not said in Spanish.
fn assert_spanish(english: &str) -> String {
    let said = spanish(english).unwrap_or_else(|| panic!("no Spanish for {english:?}"));
    let lower = format!(" {said} ");
    for word in [
        " the ",
        " of ",
        " is ",
        " its ",
        " and ",
        " no such ",
        " asked ",
    ] {
        assert!(!lower.contains(word), "{english:?} became {said:?}");
    }
    said
}

#[test]
fn every_sentence_has_both_languages_with_the_same_places() {
    for (es, en) in all() {
        assert!(!es.is_empty() && es != en, "{en:?}");
        assert_eq!(es.matches("{}").count(), en.matches("{}").count(), "{en:?}");
        assert!(!en.contains("{}{}") && own_words(en) >= 4, "{en:?}");
    }
}

#[test]
fn no_two_sentences_are_the_same() {
    let mut english: Vec<_> = all().map(|(_, en)| en).collect();
    english.sort_unstable();
    let whole = english.len();
    english.dedup();
    assert_eq!(english.len(), whole);
}

#[test]
fn every_sentence_is_read_back_with_its_values_whatever_they_are() {
    for &says in Says::ALL {
        let (es, en) = says.texts();
        let places = en.matches("{}").count();
        for value in VALUES {
            let values: Vec<&dyn Display> = vec![&value; places];
            let english = says.with(&values).to_string();
            let wanted = filled(es, std::iter::repeat_n(value.to_owned(), places));
            // Values that look like the sentence around them may be cut elsewhere, never lost.
            let read = spanish(&english).unwrap_or_else(|| panic!("{english:?}"));
            let (mut read, mut wanted) = (read.into_bytes(), wanted.into_bytes());
            read.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(read, wanted, "{says:?} with {value:?}");
        }
    }
}

#[test]
fn what_nobody_here_said_stays_as_it_is() {
    assert_eq!(spanish("a sentence of a newer version"), None);
    assert_eq!(spanish(""), None);
    let broken = Says::WireBroke.with(&[&"the firmware's own words"]);
    let said = "se cortó la conexión: the firmware's own words";
    assert_eq!(spanish(broken.as_str()).as_deref(), Some(said));
}

#[test]
fn a_sentence_inside_another_is_spanish_too() {
    let refused = io::Error::from_raw_os_error(111);
    let broken = Says::WireBroke.with(&[&refused]);
    assert_spanish(broken.as_str());
    let nested = Trouble::Unreachable(NotOpen::Refused.to_string());
    assert_eq!(
        assert_spanish(&nested.to_string()),
        "sin conexión: rechaza la conexión: nada escucha ahí"
    );
}

#[test]
fn what_keeps_a_device_from_being_talked_to_is_spanish() {
    let other = NotOpen::Other(io::Error::from_raw_os_error(113));
    for not_open in [NotOpen::Silent, NotOpen::Refused, other] {
        // Another way for a connection not to open needs a line here and its Spanish.
        match not_open {
            NotOpen::Silent | NotOpen::Refused | NotOpen::Other(_) => {}
        }
        assert_spanish(&not_open.to_string());
    }
    let unreachable = Trouble::Unreachable(NotOpen::Silent.to_string());
    let refused = Trouble::LoginRefused(event::Millis(0));
    let others = [Trouble::Silent, Trouble::NoLogin, Trouble::TooLong];
    for trouble in [unreachable, refused].into_iter().chain(others) {
        match trouble {
            Trouble::Unreachable(_)
            | Trouble::Silent
            | Trouble::LoginRefused(_)
            | Trouble::NoLogin
            | Trouble::TooLong => {}
        }
        assert_spanish(&trouble.to_string());
    }
    assert_spanish(&hikvision_isapi::BadUser.to_string());
}

#[test]
fn an_answer_to_a_search_that_is_of_no_use_is_named_in_spanish() {
    use hikvision_isapi::{ResponseStatus, SearchError};
    let body = br#"{"statusCode":4,"statusString":"Invalid Operation","subStatusCode":"busy"}"#;
    let refused = Box::new(ResponseStatus::read(body).unwrap());
    for error in [
        SearchError::TooLong,
        SearchError::NotAPage,
        SearchError::Refused(refused),
    ] {
        match &error {
            SearchError::TooLong | SearchError::NotAPage | SearchError::Refused(_) => {}
        }
        assert_spanish(&error.to_string());
    }
}

/// One of each; the compiler says when one is added.
fn pull_errors() -> Vec<Error> {
    use zkteco_pull::{Foreign, framing::FrameError};
    let asked = "read its attendance log";
    let all = vec![
        Error::Frame(FrameError::Foreign(Foreign::AccessPanel)),
        Error::Frame(FrameError::Magic),
        Error::Frame(FrameError::Short(1)),
        Error::Frame(FrameError::Long(1)),
        Error::Foreign(Foreign::SecurePull),
        Error::Checksum,
        Error::Silent,
        Error::KeyWanted,
        Error::WrongKey,
        Error::AuthLocked,
        Error::Unauthorised { asked },
        Error::Refused { asked, code: 9 },
        Error::Timeout { asked, stale: 2 },
        Error::BadAnswer {
            asked,
            code: 9,
            length: 3,
        },
        Error::Babble(3),
        Error::Short {
            promised: 2,
            got: 1,
        },
        Error::LyingCount {
            stated: 2,
            found: 1,
        },
        Error::EndlessPrepare,
        Error::TooLarge(9),
        Error::Unordered,
        Error::Flood(9),
    ];
    for error in &all {
        match error {
            Error::Frame(
                FrameError::Foreign(_)
                | FrameError::Magic
                | FrameError::Short(_)
                | FrameError::Long(_),
            )
            | Error::Foreign(Foreign::SecurePull | Foreign::AccessPanel)
            | Error::Checksum
            | Error::Silent
            | Error::KeyWanted
            | Error::WrongKey
            | Error::AuthLocked
            | Error::Unauthorised { .. }
            | Error::Refused { .. }
            | Error::Timeout { .. }
            | Error::BadAnswer { .. }
            | Error::Babble(_)
            | Error::Short { .. }
            | Error::LyingCount { .. }
            | Error::EndlessPrepare
            | Error::TooLarge(_)
            | Error::Unordered
            | Error::Flood(_) => {}
        }
    }
    all
}

#[test]
fn whatever_ends_a_session_on_port_4370_is_spanish() {
    for error in pull_errors() {
        assert_spanish(&error.to_string());
    }
    for asked in zkteco_pull::ASKED {
        assert_spanish(asked);
    }
}

#[test]
fn why_a_log_or_user_list_was_not_read_is_spanish() {
    use zkteco_pull::{attlog::LayoutError, users::BadUsers};
    for unread in [
        Unread::Layout(LayoutError::Length(7)),
        Unread::Layout(LayoutError::Senseless(7)),
        Unread::Layout(LayoutError::Ambiguous(7, Vec::new())),
        Unread::Users(BadUsers(9)),
        Unread::Refused(5),
    ] {
        match &unread {
            Unread::Layout(
                LayoutError::Length(_) | LayoutError::Senseless(_) | LayoutError::Ambiguous(..),
            )
            | Unread::Users(BadUsers(_))
            | Unread::Refused(_) => {}
        }
        assert_spanish(&unread.to_string());
    }
}

/// Why a record of port 4370 stands in quarantine, one of each.
fn pull_faults() -> Vec<String> {
    use zkteco_pull::attlog::BadId;
    use zkteco_pull::time::BadTime;
    use zkteco_pull::users::{Held, Unresolved};
    let mut all = vec![zkteco_pull::UNKNOWN_LENGTH.to_owned()];
    for bad in [BadId::Empty, BadId::Text] {
        match bad {
            BadId::Empty | BadId::Text => all.push(bad.to_string()),
        }
    }
    for bad in [BadTime::Packed(7), BadTime::Parts([1, 13, 0, 0, 0, 0])] {
        match bad {
            BadTime::Packed(_) | BadTime::Parts(_) => all.push(bad.to_string()),
        }
    }
    for held in [Held::Number(7), Held::Uid(3)] {
        for unresolved in [
            Unresolved::NoList(held),
            Unresolved::Unknown(held),
            Unresolved::Several(held),
        ] {
            match unresolved {
                Unresolved::NoList(Held::Number(_) | Held::Uid(_))
                | Unresolved::Unknown(_)
                | Unresolved::Several(_) => all.push(unresolved.to_string()),
            }
        }
    }
    all
}

#[test]
fn every_detail_of_a_record_in_review_is_spanish() {
    let fixed = [
        zkteco_push::FAULTS,
        hikvision_isapi::FAULTS,
        &store::SET_ASIDE,
    ];
    let fixed = fixed.into_iter().flatten().copied();
    let fixed = fixed.chain(other_makes::faults()).map(str::to_owned);
    for fault in fixed.chain(pull_faults()) {
        assert_spanish(&fault);
        assert_spanish(&format!("{fault}; 300000 bytes, cut to 262144"));
        let both = format!("{fault}; 300000 bytes, cut to 262144; secret values blanked");
        assert_spanish(&both);
    }
}

#[test]
fn whatever_is_wrong_with_the_file_of_a_secret_is_spanish() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8], mode| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    write("open", b"x", 0o644);
    write("empty", b"", 0o600);
    write("bytes", b"\xff\xfe", 0o600);
    write("large", &vec![b'x'; 70_000], 0o600);
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    let places = [folder.path().to_owned()];
    let absent = folder.path().join("absent");
    for name in ["open", "empty", "bytes", "large", "folder", "none", "a/b"] {
        let error = secret_file(name, &places).unwrap_err();
        assert_eq!(assert_spanish(&error.to_string()), error.in_spanish());
    }
    let error = secret_file(&absent.to_string_lossy(), &places).unwrap_err();
    assert_eq!(assert_spanish(&error.to_string()), error.in_spanish());
}

#[test]
fn why_a_command_is_not_sent_and_why_a_name_is_not_taken_is_spanish() {
    use event::NameError;
    use zkteco_push::{Class, Denied, Dialect};
    let closed = Class::ALL.map(Denied::Closed);
    let elsewhere = Dialect::ALL.map(Denied::NotMeasured);
    for denied in closed.into_iter().chain(elsewhere).chain([Denied::Unknown]) {
        match denied {
            Denied::Closed(_) | Denied::NotMeasured(_) | Denied::Unknown => {}
        }
        assert_spanish(&denied.to_string());
    }
    for wrong in [
        NameError::Empty,
        NameError::TooLong(24),
        NameError::Character,
    ] {
        match wrong {
            NameError::Empty | NameError::TooLong(_) | NameError::Character => {}
        }
        assert_spanish(&wrong.to_string());
    }
}

#[test]
fn why_a_listening_host_cannot_be_written_is_spanish() {
    use hikvision_isapi::BadHost;
    for bad in [BadHost::Slot, BadHost::Host, BadHost::Path, BadHost::Port] {
        match bad {
            BadHost::Slot | BadHost::Host | BadHost::Path | BadHost::Port => {}
        }
        assert_spanish(&bad.to_string());
    }
}

#[test]
fn why_a_window_was_not_asked_for_again_is_spanish() {
    use crate::pull::state::NotRead;
    for why in [
        NotRead::Busy,
        NotRead::Ended(Error::Silent.to_string()),
        NotRead::Unreadable(Unread::Refused(5).to_string()),
        NotRead::Dropped,
    ] {
        match &why {
            NotRead::Busy | NotRead::Ended(_) | NotRead::Unreadable(_) | NotRead::Dropped => {}
        }
        assert_spanish(&why.to_string());
    }
    for why in crate::again::push::reasons() {
        assert_spanish(&why);
    }
}

/// Whatever a sender says of a delivery that did not get through.
fn not_carried() -> Vec<String> {
    let words = || "192.0.2.7:443: Connection refused (os error 111)".to_owned();
    let after = std::time::Duration::from_secs(15);
    let late =
        ["name", "connect", "tls", "answer"].map(|stage| fetch::Failed::Late { stage, after });
    let fetched = [
        fetch::Failed::Name(
            "failed to lookup address information: Name or service not known".into(),
        ),
        fetch::Failed::Refused(words()),
        fetch::Failed::Connect("the name has no address".into()),
        fetch::Failed::Inner("10.0.0.1".into()),
        fetch::Failed::Tls("invalid peer certificate: UnknownIssuer".into(), None),
        fetch::Failed::Http("connection closed before message completed".into()),
    ];
    let mut all = [
        "HTTP 302: redirects are not followed",
        "an upload was broken off",
        "column estado: its codes have none for this event",
        "column `id` of table `checadas` has no unique key of its own",
    ]
    .map(str::to_owned)
    .to_vec();
    for failed in fetched.into_iter().chain(late) {
        match &failed {
            fetch::Failed::Name(_)
            | fetch::Failed::Refused(_)
            | fetch::Failed::Inner(_)
            | fetch::Failed::Connect(_)
            | fetch::Failed::Tls(..)
            | fetch::Failed::Http(_)
            | fetch::Failed::Late { .. } => all.push(failed.to_string()),
        }
    }
    for failed in [
        mqtt::Failed::Refused("BadUserNamePassword".into()),
        mqtt::Failed::Broken("Connection reset by peer (os error 104)".into()),
        mqtt::Failed::Subscription,
        mqtt::Failed::Late(after),
    ] {
        match &failed {
            mqtt::Failed::Refused(_)
            | mqtt::Failed::Broken(_)
            | mqtt::Failed::Subscription
            | mqtt::Failed::Late(_) => {
                all.push(failed.to_string());
            }
        }
    }
    for (numbers, why) in store::table::REFUSALS {
        let said = format!("{}: {why}", numbers[0]);
        all.extend([
            format!("{said} for column 'a'"),
            format!("{said} for key 'a'"),
        ]);
        all.push(said);
    }
    all
}

#[test]
fn why_events_do_not_reach_a_receiver_is_spanish() {
    for why in not_carried() {
        let said = assert_spanish(&why);
        for english in ["answer", "connection", "broker refuses", " for "] {
            assert!(!said.contains(english), "{why:?} became {said:?}");
        }
    }
    assert_eq!(
        assert_spanish("no connection: 192.0.2.7:443: Connection refused (os error 111)"),
        "sin conexión: 192.0.2.7:443 la rechaza, nada escucha ahí"
    );
    assert_eq!(
        assert_spanish("1406: too long for column 'persona'"),
        "1406: demasiado largo, columna 'persona'"
    );
}
