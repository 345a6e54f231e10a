//! Promise: what could not be read when it came is read later by the reader of its own way, and
//! becomes the row that its own way makes.
//!
//! Records of every way come in damaged and are set aside by the door. Then their bytes in
//! quarantine are mended, which stands for a reader that has learned: `quarantine replay` must
//! store each. At last the same records come whole by their own way and add no row.

use anyhow::{Result, ensure};
use mariadb::Flavor;
use promises::hikvision::enrol_posting;
use promises::{Checker, Place, SatelliteProcess, Setup, attlog, shared_mariadb};

/// An attendance line, also the one of a punch that the terminal's log holds.
const LINE: &str = "1001\t2026-11-21 09:00:01\t0\t1\n";
const PULLED_LINE: &str = "1005\t2026-11-21 09:00:05\t0\t1\n";
const RTLOG: &str = "time=2026-11-21 09:00:02\tpin=1002\tcardno=0\teventaddr=1\tevent=0\t\
                     inoutstatus=0\tverifytype=4\tindex=21\r\n";
const JSON: &str = "{\"eventType\":\"AccessControllerEvent\",\
                    \"dateTime\":\"2026-11-21T09:00:03-06:00\",\"AccessControllerEvent\":\
                    {\"majorEventType\":5,\"subEventType\":75,\"serialNo\":2,\
                    \"employeeNoString\":\"1003\",\"attendanceStatus\":\"checkIn\"}}";
const XML: &str = "<EventNotificationAlert><eventType>VMD</eventType><eventState>active\
                   </eventState><channelID>4</channelID><dateTime>2026-11-21T09:00:04-06:00\
                   </dateTime></EventNotificationAlert>";
/// One record in two forms: as the search lists it, and as the device posts it.
const ITEM: &str = "{\"major\":5,\"minor\":75,\"time\":\"2026-11-21T09:00:06-06:00\",\
                    \"serialNo\":3,\"employeeNoString\":\"1006\"}";
const ITEM_POSTED: &str = "{\"eventType\":\"AccessControllerEvent\",\
                           \"dateTime\":\"2026-11-21T09:00:06-06:00\",\"AccessControllerEvent\":\
                           {\"majorEventType\":5,\"subEventType\":75,\"serialNo\":3,\
                           \"employeeNoString\":\"1006\"}}";

/// A record of the log of port 4370 of 40 bytes: person 1005 at 09:00:05.
fn pulled() -> Vec<u8> {
    let mut record = vec![0; 40];
    record[2..6].copy_from_slice(b"1005");
    let days: u32 = (26 * 12 + 10) * 31 + 20;
    let packed = days * 86_400 + 9 * 3_600 + 5;
    record[26] = 1;
    record[27..31].copy_from_slice(&packed.to_le_bytes());
    record
}

fn rtlog(body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /iclock/cdata?table=rtlog&SN=ACCESS1 HTTP/1.1\r\nHost: s\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn part(document: &str) -> Vec<u8> {
    format!("--b\r\n\r\n{document}\r\n--b--\r\n").into_bytes()
}

/// The record as it came: with a month, or a code, that does not exist.
fn damaged(record: &str) -> String {
    let code = "\"majorEventType\":5";
    match record.contains(code) {
        true => record.replace(code, "\"majorEventType\":\"five\""),
        false => record.replace("2026-11-21", "2026-13-21"),
    }
}

/// Makes the record readable that came last, and marks it. The log of port 4370 and the event
/// search hold records in other forms, which came by other ways.
const MENDED: &str = "UPDATE quarantine SET seen = 100, raw = ? WHERE seen = 1";
const PULLED: &str = "UPDATE quarantine SET seen = 100, source = 'attlog-40', route = 'pull', \
                      raw = ? WHERE seen = 1";
const SEARCHED: &str = "UPDATE quarantine SET seen = 100, route = 'poll', raw = ? WHERE seen = 1";

struct House {
    satellite: SatelliteProcess,
    checker: Checker,
    path: String,
}

impl House {
    async fn open(place: &Place) -> Result<Self> {
        let setup = Setup::new(place.clone()).enrol(["ATTEND1", "ACCESS1"]);
        let satellite = SatelliteProcess::start(&setup).await?;
        let path = enrol_posting(&satellite, "HIKREAD0001", &[]).await?;
        let checker = Checker::open(place).await?;
        Ok(Self {
            satellite,
            checker,
            path,
        })
    }

    async fn upload(&self, request: &[u8]) -> Result<()> {
        let reply = self.satellite.send(request).await?;
        ensure!(reply.status == 200, "answered with {reply:?}");
        Ok(())
    }

    /// The request of the posting device with this document.
    fn document_of(&self, document: &str) -> Vec<u8> {
        let body = part(document);
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: s\r\nContent-Length: {}\r\n\r\n",
            self.path,
            body.len()
        );
        [head.as_bytes(), &body].concat()
    }

    async fn document(&self, document: &str) -> Result<()> {
        self.upload(&self.document_of(document)).await
    }

    async fn shown(&self) -> Result<String> {
        let words = ["devices", "show", "HIKREAD0001", "--json"];
        self.satellite.command(words).await
    }

    /// Who is in the feed; nobody for the camera's event.
    async fn rows(&mut self) -> Result<Vec<Option<String>>> {
        let feed = self.checker.feed().await?;
        let own = feed.into_iter().filter(|row| row.vendor != "satellite");
        let mut people: Vec<_> = own.map(|row| row.person).collect();
        people.sort();
        Ok(people)
    }
}

/// A good event of the posting device.
fn event(serial: u64) -> String {
    let other = format!("\"serialNo\":{serial}");
    JSON.replace("\"serialNo\":2", &other)
        .replace("1003", "2000")
}

async fn every_way(place: &Place) -> Result<()> {
    let mut house = House::open(place).await?;
    house.document(&event(1)).await?;
    for (request, statement, raw) in [
        (
            attlog("ATTEND1", "1", damaged(LINE).as_bytes()),
            MENDED,
            LINE.as_bytes(),
        ),
        (
            attlog("ATTEND1", "1", damaged(PULLED_LINE).as_bytes()),
            PULLED,
            &pulled(),
        ),
        (rtlog(&damaged(RTLOG)), MENDED, RTLOG.as_bytes()),
        (house.document_of(&damaged(JSON)), MENDED, JSON.as_bytes()),
        (house.document_of(&damaged(XML)), MENDED, XML.as_bytes()),
        (
            house.document_of(&damaged(ITEM_POSTED)),
            SEARCHED,
            ITEM.as_bytes(),
        ),
    ] {
        house.upload(&request).await?;
        let mended = house.checker.change(statement, raw).await?;
        ensure!(
            mended == 1,
            "{mended} records set aside instead of one: {statement}"
        );
    }
    // Serials 2 and 3 could not be read: the device shows a gap.
    house.document(&event(4)).await?;
    ensure!(
        house.shown().await?.contains("gap_in_posts"),
        "no gap is seen"
    );

    let said = house
        .satellite
        .command(["quarantine", "replay", "--all"])
        .await?;
    ensure!(
        said.contains("settled: 6; still in quarantine: 0"),
        "{said}"
    );
    let stored = house.rows().await?;
    let people = ["1001", "1002", "1003", "1005", "1006", "2000", "2000"];
    let named: Vec<&str> = stored.iter().filter_map(|row| row.as_deref()).collect();
    ensure!(
        named == people && stored.len() == people.len() + 1,
        "{stored:?}"
    );

    for request in [
        attlog("ATTEND1", "2", [LINE, PULLED_LINE].concat().as_bytes()),
        rtlog(RTLOG),
        house.document_of(JSON),
        house.document_of(XML),
        house.document_of(ITEM_POSTED),
    ] {
        house.upload(&request).await?;
    }
    ensure!(
        house.rows().await? == stored,
        "the same records are other rows: {stored:?}"
    );
    let shown = house.shown().await?;
    ensure!(!shown.contains("gap_in_posts"), "the gap stayed: {shown}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_later_becomes_the_row_of_its_own_way_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    every_way(&Place::sqlite(folder.path())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_later_becomes_the_row_of_its_own_way_on_mariadb() {
    let place = shared_mariadb(Flavor::Durable).await.unwrap();
    every_way(&place).await.unwrap();
}
