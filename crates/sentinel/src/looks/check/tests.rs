//! Indicators from the configuration to the observation, over a real socket.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::Finding;
use crate::config::looks::{HttpProbe, ProcessProbe};

async fn page(body: &'static str) -> HttpProbe {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 2048];
            if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all((head + body).as_bytes()).await.ok();
            }
        }
    });
    HttpProbe {
        url: url.parse().unwrap(),
        status: 200,
        contains: vec!["Bienvenido".to_owned()],
        lacks: Vec::new(),
        login_form: false,
        slow: Duration::from_secs(3),
        trust: fetch::Trust::default(),
    }
}

async fn seen(probe: Probe, sets: Sets) -> Observation {
    let check = Check {
        tenant: "acme".to_owned(),
        name: "inicio".to_owned(),
        sets,
        every: Duration::from_secs(60),
        within: Duration::from_secs(5),
        probe,
    };
    let round = CheckLook::new(check).look(Timestamp::now()).await;
    round.observations.into_iter().next().unwrap()
}

fn kind(seen: &Observation) -> Option<(Kind, Severity)> {
    match &seen.finding {
        Finding::Wrong { troubles } => Some((troubles[0].kind, troubles[0].severity)),
        _ => None,
    }
}

#[tokio::test]
async fn a_good_page_is_fine_and_one_whose_program_failed_is_down_or_partial_as_configured() {
    let good = seen(Probe::Http(page("<h1>Bienvenido</h1>").await), Sets::Down).await;
    assert_eq!(good.finding, Finding::Fine);
    assert!(good.numbers["took_seconds"] < 3.0);
    for (sets, wanted) in [
        (Sets::Down, (Kind::ApplicationDown, Severity::Critical)),
        (Sets::Partial, (Kind::ApplicationPartial, Severity::Warning)),
    ] {
        let broken = page("Bienvenido <b>Fatal error</b>: Uncaught PDOException").await;
        assert_eq!(kind(&seen(Probe::Http(broken), sets).await), Some(wanted));
    }
}

#[tokio::test]
async fn a_trouble_names_the_indicator_that_set_it_and_where_it_looked() {
    let probe = Probe::Process(ProcessProbe {
        name: "no-such-program".to_owned(),
        at_least: 1,
    });
    let seen = seen(probe, Sets::Down).await;
    assert_eq!(seen.subject, Subject::check("acme", "inicio"));
    let Finding::Wrong { troubles } = seen.finding else {
        panic!("{:?}", seen.finding);
    };
    let place = troubles[0].facts.get(&Fact::Place);
    assert_eq!(place, Some(&Value::heard("no-such-program")));
}
