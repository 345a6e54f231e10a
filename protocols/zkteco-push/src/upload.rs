//! A body to events, quarantine and counts.
//!
//! Invariants: every line that is not blank is counted exactly once in `records`, and ends as
//! an event, in quarantine or as dropped; one bad line never harms another; a body is never
//! copied (events and quarantine hold slices of it, unless a secret had to be blanked); what
//! stays in memory is bounded by the body's size, however many bad lines it has.

use std::ops::Range;

use event::{Bytes, ClockFlag, Event, Millis, Quarantined, Reason, Route, Text, Zone};

use crate::access::chain::{MAX_INDEX, Place};
use crate::access::line::AccessLine;
use crate::access::state::DoorState;
use crate::error::Fault;
use crate::normalize::Normalizer;
use crate::operlog::{Failure, Operation, Sort, sort};
use crate::redact::{redact, redact_but_cards};
use crate::text::{Decoded, decode, decode_any, is_blank, is_control, lines, trim_end};
use crate::{Table, attlog, options};

/// What a body is read with: all that the bytes themselves do not say.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The zone of the terminal's wall clock.
    pub zone: &'a Zone,
    /// How the body came: pushed, or asked for.
    pub route: Route,
    /// When it came, by our clock.
    pub received_at: Millis,
    /// The `language` of the terminal's handshake, if known; 83 means GBK names.
    pub language: Option<u16>,
}

/// What became of a body.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// Records that were understood.
    pub events: Vec<Event>,
    /// Records that were not, to be committed raw.
    pub quarantined: Vec<Quarantined>,
    /// Bad records beyond the first of each piece in `quarantined` that holds several, all of
    /// them [`Reason::Unreadable`].
    pub crowded: u64,
    /// Records recognised as people, templates or pictures: not kept.
    pub dropped: u64,
    /// All records, for the acknowledgement.
    pub records: u64,
    /// The terminal's settings, from an `options` upload: at most 512, keys and texts that hold
    /// secrets left out.
    pub options: Vec<(Text, Text)>,
    /// Where the access events among `events` stand in their terminal's count.
    pub places: Vec<Place>,
    /// The last door state of an `rtstate` upload.
    pub state: Option<DoorState>,
}

impl Reading {
    /// How many records could not be read.
    pub fn unreadable(&self) -> u64 {
        let pieces = u64::try_from(self.quarantined.len()).unwrap_or(u64::MAX);
        pieces.saturating_add(self.crowded)
    }
}

/// Most bad lines of one body that get a quarantine record each; further neighbours share one.
const SINGLE_LIMIT: usize = 10_000;

/// Reads a body. Never fails: what cannot be read is in `quarantined`.
pub fn read_upload(table: &Table, body: &Bytes, context: &Context<'_>) -> Reading {
    let mut reader = Reader {
        table,
        body,
        context,
        clean: None,
        normalizer: Normalizer::new(context),
        reading: Reading::default(),
        run: None,
    };
    if !table.holds_records() {
        reader.count();
    } else if body.starts_with(b"LZO1") && !is_text(body) {
        reader.whole(Fault::SCRAMBLED);
    } else if *table == Table::Options {
        reader.options();
    } else if matches!(table, Table::Unknown(_)) && !is_text(body) {
        reader.whole(Fault::BINARY);
    } else {
        reader.clean = clean_text(body);
        reader.reading.events.reserve((body.len() / 40).min(4_096));
        for line in lines(body) {
            reader.line(line);
        }
        reader.end_run();
    }
    reader.reading
}

struct Reader<'a> {
    table: &'a Table,
    body: &'a Bytes,
    context: &'a Context<'a>,
    /// The whole body, when all of it is UTF-8 without odd control characters: checking it once
    /// is much faster than line by line.
    clean: Option<&'a str>,
    normalizer: Normalizer<'a>,
    reading: Reading,
    /// Bad neighbours beyond [`SINGLE_LIMIT`] that will share one quarantine record.
    run: Option<Range<usize>>,
}

impl<'a> Reader<'a> {
    fn count(&mut self) {
        let mut counter = LineCounter::new(self.table);
        counter.feed(self.body);
        self.reading.records = counter.records();
        self.reading.dropped = self.reading.records;
    }

    fn options(&mut self) {
        if is_blank(self.body) {
            return;
        }
        self.reading.records = 1;
        self.reading.options = options::read_list(&decode_any(self.body));
        if self.reading.options.is_empty() {
            self.quarantine(0..self.body.len(), UNREADABLE_OPTIONS);
        }
    }

    fn line(&mut self, line: Range<usize>) {
        self.reading.records += 1;
        match self.read(line.clone()) {
            Ok(()) => self.end_run(),
            Err(fault) => self.bad_line(line, fault),
        }
    }

    fn read(&mut self, line: Range<usize>) -> Result<(), Fault> {
        match self.table {
            Table::AttLog => self.read_attendance(line),
            Table::OperLog | Table::ErrorLog => self.read_mixed(line),
            Table::RtLog | Table::Transaction => self.read_access(line),
            Table::RtState => self.read_state(line),
            _ => Err(Fault::UNKNOWN_TABLE),
        }
    }

    fn read_attendance(&mut self, line: Range<usize>) -> Result<(), Fault> {
        let raw = self.body.get(line.clone()).unwrap_or_default();
        let text = self.decode(raw, line.clone())?;
        let read = attlog::parse(&text.text)?;
        let attributes = || {
            let width = || 1 + memchr::memchr_iter(b'\t', raw).count();
            if text.charset.is_none() && read.is_plain(width) {
                return None;
            }
            read.attributes(width(), text.charset)
        };
        let kept = keep(self.body.slice(line));
        let event = self.normalizer.attendance(&read, kept, attributes)?;
        self.reading.events.push(event);
        Ok(())
    }

    fn read_mixed(&mut self, line: Range<usize>) -> Result<(), Fault> {
        let raw = self.body.get(line.clone()).unwrap_or_default();
        let sort = sort(raw);
        let start = match sort {
            Sort::Operation(start) | Sort::Error(start) => start,
            Sort::Other => return Err(Fault::NO_SORT),
            Sort::Dropped => {
                self.reading.dropped += 1;
                return Ok(());
            }
        };
        let text = self.decode(raw, line.clone())?;
        let fields = text.text.get(start..).unwrap_or_default();
        let kept = keep(self.body.slice(line));
        let event = if matches!(sort, Sort::Operation(_)) {
            let read = Operation::parse(fields)?;
            self.normalizer.operation(&read, text.charset, kept)
        } else {
            let read = Failure::parse(fields)?;
            self.normalizer
                .failure(&read, text.charset, &text.text, kept)
        }?;
        self.reading.events.push(event);
        Ok(())
    }

    fn read_access(&mut self, line: Range<usize>) -> Result<(), Fault> {
        let raw = self.body.get(line.clone()).unwrap_or_default();
        let text = self.decode(raw, line.clone())?;
        let read = AccessLine::parse(&text.text);
        let slice = self.body.slice(line);
        let kept = redact_but_cards(&slice).unwrap_or(slice);
        let event = self.normalizer.access(&read, text.charset, kept)?;
        if let Some(index) = read.number().filter(|index| *index <= MAX_INDEX) {
            let believed = event.clock != ClockFlag::Suspect;
            let wall = read.wall().ok().filter(|_| believed);
            self.reading.places.push(Place { index, wall });
        }
        self.reading.events.push(event);
        Ok(())
    }

    fn read_state(&mut self, line: Range<usize>) -> Result<(), Fault> {
        let raw = self.body.get(line.clone()).unwrap_or_default();
        let text = self.decode(raw, line)?;
        let state = DoorState::parse(&text.text).ok_or(Fault::NO_STATE)?;
        self.reading.state = Some(state);
        self.reading.dropped += 1;
        Ok(())
    }

    /// The text of a line without the padding at its end.
    fn decode(&self, raw: &'a [u8], line: Range<usize>) -> Result<Decoded<'a>, Fault> {
        if raw.len() > Event::RAW_LIMIT {
            return Err(Fault::LONG_LINE);
        }
        let raw = trim_end(raw);
        match self
            .clean
            .and_then(|t| t.get(line.start..line.start + raw.len()))
        {
            Some(text) => Ok(Decoded {
                text: text.into(),
                charset: None,
            }),
            None => decode(raw, self.context.language),
        }
    }

    fn bad_line(&mut self, line: Range<usize>, fault: Fault) {
        if self.reading.quarantined.len() < SINGLE_LIMIT {
            self.quarantine(line, fault);
            return;
        }
        match &mut self.run {
            Some(run) if line.end - run.start <= Quarantined::RAW_LIMIT => {
                run.end = line.end;
                self.reading.crowded += 1;
            }
            _ => {
                self.end_run();
                self.run = Some(line);
            }
        }
    }

    fn end_run(&mut self) {
        if let Some(run) = self.run.take() {
            self.quarantine(run, Fault::TOO_MANY);
        }
    }

    /// The whole body as one record.
    fn whole(&mut self, fault: Fault) {
        self.reading.records = 1;
        // Pictures are never kept, also not those of tables that we do not know.
        let picture = memchr::memmem::find(self.body, b"\xff\xd8\xff");
        let end = picture.unwrap_or(self.body.len());
        let reason = match self.table {
            Table::Unknown(_) => Reason::UnknownTable,
            _ => fault.reason,
        };
        self.quarantine(0..end, Fault { reason, ..fault });
    }

    fn quarantine(&mut self, range: Range<usize>, fault: Fault) {
        let length = range.len();
        let kept = length.min(Quarantined::RAW_LIMIT);
        let raw = self.body.slice(range.start..range.start + kept);
        let mut detail = Text::const_new(fault.detail);
        if kept < length {
            detail.push_str(&format!("; {length} bytes, cut to {kept}"));
        }
        let redacted = match self.table {
            Table::RtLog | Table::Transaction => redact_but_cards(&raw),
            _ => redact(&raw),
        };
        if redacted.is_some() {
            detail.push_str("; secret values blanked");
        }
        self.reading.quarantined.push(Quarantined {
            reason: fault.reason,
            detail,
            source: Text::new(self.table.name()),
            route: self.context.route,
            received_at: self.context.received_at,
            raw: redacted.unwrap_or(raw),
        });
    }
}

const UNREADABLE_OPTIONS: Fault = Fault::NO_OPTIONS;

/// The bytes to keep of a line that became an event.
fn keep(raw: Bytes) -> Bytes {
    redact(&raw).unwrap_or(raw)
}

/// True when there is no control character but line ends, TAB and padding at the end.
fn is_text(body: &[u8]) -> bool {
    let odd = |byte: &u8| is_control(*byte) && !matches!(byte, b'\n' | b'\r');
    !trim_end(body).iter().any(odd)
}

/// The body as text, when every line of it can be used without a closer look.
fn clean_text(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let odd = |byte: u8| is_control(byte) & (byte != b'\n') & (byte != b'\r');
    let any_odd = body.iter().fold(false, |any, &byte| any | odd(byte));
    (!any_odd).then_some(text)
}

/// Counts the records of a body that is not kept, chunk by chunk, so that it can be streamed
/// away. Agrees with [`Reading::records`] of the whole body, however it is cut.
#[derive(Debug, Clone)]
pub struct LineCounter {
    single: bool,
    records: u64,
    /// The line being fed has something in it already.
    filled: bool,
}

impl LineCounter {
    /// A counter for a table that holds no records to keep.
    pub fn new(table: &Table) -> Self {
        Self {
            single: table.is_one_record(),
            records: 0,
            filled: false,
        }
    }

    /// Takes the next bytes of the body.
    pub fn feed(&mut self, chunk: &[u8]) {
        let mut start = 0;
        for end in memchr::memchr2_iter(b'\n', b'\r', chunk) {
            self.part(chunk.get(start..end).unwrap_or_default());
            self.filled = false;
            start = end + 1;
        }
        self.part(chunk.get(start..).unwrap_or_default());
    }

    /// The records so far; a picture or a list of settings is one.
    pub fn records(&self) -> u64 {
        if self.single {
            self.records.min(1)
        } else {
            self.records
        }
    }

    fn part(&mut self, part: &[u8]) {
        if !self.filled && !is_blank(part) {
            self.filled = true;
            self.records += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "1001\t2026-11-21 10:15:30\t0\t1\t\t0\t0\n";

    fn read(table: &str, body: impl Into<Bytes>) -> Reading {
        let zone = Zone::named("America/Mexico_City").unwrap();
        let context = Context {
            zone: &zone,
            route: Route::Push,
            received_at: Millis::parse("2026-11-21 16:15:31").unwrap(),
            language: None,
        };
        read_upload(&Table::from_name(table), &body.into(), &context)
    }

    fn reasons(reading: &Reading) -> Vec<Reason> {
        reading.quarantined.iter().map(|q| q.reason).collect()
    }

    #[test]
    fn a_bad_line_is_quarantined_and_still_counted() {
        let body = format!("{GOOD}1002\t2026-02-30 10:15:30\n{GOOD}");
        let reading = read("ATTLOG", body);
        assert_eq!((reading.records, reading.events.len()), (3, 2));
        assert_eq!(reasons(&reading), [Reason::BadTime]);
        let bad = &reading.quarantined[0];
        assert_eq!(&bad.raw[..], b"1002\t2026-02-30 10:15:30");
        assert_eq!(bad.source, "ATTLOG");
    }

    #[test]
    fn each_fault_has_its_reason() {
        for (line, reason) in [
            ("1001", Reason::Unreadable),
            ("10\x0001\t2026-11-21 10:15:30", Reason::Unreadable),
            ("\t2026-11-21 10:15:30", Reason::BadField),
            (
                "1234567890123456789012345\t2026-11-21 10:15:30",
                Reason::BadField,
            ),
            ("1001\t1969-12-31 23:59:59", Reason::BadTime),
            ("1001\t9999-12-31 23:59:59", Reason::BadTime),
            ("1001\t", Reason::Unreadable),
            ("1001\t\t0", Reason::BadTime),
            (
                "1\t2026-11-21 10:15:30\t123456789012345678901234567890123",
                Reason::BadField,
            ),
        ] {
            let reading = read("ATTLOG", line);
            assert_eq!(reasons(&reading), [reason], "{line:?}");
            assert_eq!((reading.records, reading.events.len()), (1, 0));
        }
    }

    #[test]
    fn a_pin_of_24_characters_and_a_code_of_any_number_are_kept_as_text() {
        let line = "123456789012345678901234\t2026-11-21T10:15:30\t99999999999\t-7";
        let reading = read("ATTLOG", line);
        let event = &reading.events[0];
        assert_eq!(event.person.as_deref(), Some("123456789012345678901234"));
        assert_eq!(event.status_code.as_deref(), Some("99999999999"));
        assert_eq!(event.verify_code.as_deref(), Some("-7"));
        assert_eq!(event.local_time.as_deref(), Some("2026-11-21 10:15:30"));
        assert_eq!(event.occurred_at.unwrap().text(), "2026-11-21 16:15:30.000");
        assert_eq!(event.direction, None);
    }

    #[test]
    fn raw_bytes_are_a_slice_of_the_body_and_not_a_copy() {
        let body = Bytes::from(format!("{GOOD}bad\n"));
        let reading = read("ATTLOG", body.clone());
        let within = body.as_ptr_range();
        assert!(within.contains(&reading.events[0].raw.as_ptr()));
        assert!(within.contains(&reading.quarantined[0].raw.as_ptr()));
    }

    #[test]
    fn a_line_of_ten_megabytes_is_cut_without_being_copied() {
        let mut body = GOOD.as_bytes().to_vec();
        body.resize(10 << 20, b'x');
        let body = Bytes::from(body);
        let reading = read("ATTLOG", body.clone());
        assert_eq!((reading.records, reading.events.len()), (2, 1));
        let bad = &reading.quarantined[0];
        assert_eq!(bad.raw.len(), Quarantined::RAW_LIMIT);
        assert!(bad.detail.contains("cut to 262144"), "{}", bad.detail);
        assert!(body.as_ptr_range().contains(&bad.raw.as_ptr()));
    }

    #[test]
    fn columns_that_do_not_fit_the_attributes_are_quarantined() {
        let line = format!("7\t2026-11-21 10:15:30\t0\t1\t{}", "\"".repeat(40_000));
        assert_eq!(reasons(&read("ATTLOG", line)), [Reason::BadField]);
    }

    #[test]
    fn thousands_of_bad_lines_share_records_and_no_byte_is_lost() {
        let line = "x\n";
        let body = line.repeat(300_000);
        let reading = read("ATTLOG", body);
        assert_eq!(reading.records, 300_000);
        assert!(reading.quarantined.len() < SINGLE_LIMIT + 10);
        let kept: usize = reading
            .quarantined
            .iter()
            .map(|q| lines(&q.raw).count())
            .sum();
        assert_eq!(kept, 300_000);
    }

    #[test]
    fn joined_bad_lines_never_take_a_good_one_with_them() {
        let body = "x\n".repeat(SINGLE_LIMIT) + &format!("y\n{GOOD}z\n");
        let reading = read("ATTLOG", body);
        assert_eq!(reading.events.len(), 1);
        let last: Vec<&[u8]> = reading.quarantined[SINGLE_LIMIT..]
            .iter()
            .map(|q| &q.raw[..])
            .collect();
        assert_eq!(last, [b"y", b"z"]);
    }

    #[test]
    fn people_and_templates_are_dropped_and_no_secret_reaches_quarantine() {
        let body = "USER PIN=1\tName=A\tPasswd=S3CR3T\tCard=S3CR3T\n\
                    PIN=2\tPasswd=S3CR3T\n\
                    FP PIN=1\tTMP=S3CR3T\n\
                    NEWUSER PIN=1\tPasswd=S3CR3T\tCard=S3CR3T\tGrp=1\n";
        let reading = read("OPERLOG", body);
        assert_eq!((reading.records, reading.dropped), (4, 3));
        assert_eq!(
            &reading.quarantined[0].raw[..],
            b"NEWUSER PIN=1\tPasswd=*\tCard=*\tGrp=1"
        );
        for table in [
            "ATTLOG",
            "OPERLOG",
            "ERRORLOG",
            "SOMETHING",
            "USER",
            "options",
        ] {
            assert!(
                !format!("{:?}", read(table, body)).contains("S3CR3T"),
                "{table}"
            );
        }
    }

    #[test]
    fn a_template_line_longer_than_any_record_is_still_dropped() {
        let body = format!("BIOPHOTO PIN=1\tContent={}\n", "A".repeat(Event::RAW_LIMIT));
        let reading = read("OPERLOG", body);
        assert_eq!((reading.dropped, reading.quarantined.len()), (1, 0));
    }

    #[test]
    fn an_unknown_table_is_kept_line_by_line_and_binary_as_one_record_without_its_picture() {
        let reading = read("UPDATES", "a\nb\r\n\nc\0");
        assert_eq!((reading.records, reading.quarantined.len()), (3, 3));
        assert_eq!(reasons(&reading), [Reason::UnknownTable; 3]);
        let binary = read("UPDATES", &b"PIN=1\nCMD=x\0\xff\xd8\xff\xe0picture"[..]);
        assert_eq!((binary.records, binary.quarantined.len()), (1, 1));
        assert_eq!(&binary.quarantined[0].raw[..], b"PIN=1\nCMD=x\0");
        let scrambled = read("ATTLOG", &b"LZO1\x07\0\0\0\x01\n\x02\n"[..]);
        assert_eq!((scrambled.records, scrambled.quarantined.len()), (1, 1));
    }

    #[test]
    fn settings_are_one_record_and_unreadable_ones_are_kept() {
        let reading = read("options", "~DeviceName=X,MAC=00:17:61:00:00:01");
        assert_eq!((reading.records, reading.options.len()), (1, 2));
        let odd = read("options", "nothing here");
        assert_eq!((odd.records, reasons(&odd)), (1, vec![Reason::Unreadable]));
        assert_eq!(read("options", "").records, 0);
    }

    #[test]
    fn a_photo_is_one_record_whatever_its_bytes() {
        let reading = read(
            "ATTPHOTO",
            &b"PIN=1.jpg\nSN=X\nsize=3\nCMD=uploadphoto\0\xff\xd8\n\n\r"[..],
        );
        assert_eq!((reading.records, reading.dropped), (1, 1));
        assert_eq!(reading.quarantined.len() + reading.events.len(), 0);
    }

    #[test]
    fn a_power_on_and_an_alarm_have_kinds_of_their_own() {
        let body = "OPLOG 0\t0\t2026-11-21 10:20:00\t0\t0\t0\t0\n\
                    OPLOG 3\t0\t2026-11-21 10:20:00\t54\t0\t0\t0\n\
                    OPLOG 777\t14\t2026-11-21 10:20:00\n";
        let reading = read("OPERLOG", body);
        let shown: Vec<_> = reading
            .events
            .iter()
            .map(|e| {
                (
                    e.kind.as_str(),
                    e.person.as_deref(),
                    e.attributes.as_deref().unwrap_or("-"),
                )
            })
            .collect();
        assert_eq!(shown[0], ("device", None, r#"{"operation":"power on"}"#));
        assert_eq!(
            shown[1],
            (
                "alarm",
                None,
                r#"{"operation":"alarm","alarm":"door broken open","objects":["54","0","0","0"]}"#
            )
        );
        assert_eq!(shown[2], ("operation", Some("14"), "-"));
    }

    #[test]
    fn an_operation_sent_again_is_one_event_and_another_object_is_another() {
        let ident = |line: &str| read("OPERLOG", line.to_owned()).events[0].ident;
        let first = ident("OPLOG 4\t14\t2026-11-21 10:20:00\t1\t0");
        assert_eq!(first, ident("OPLOG 4\t14\t2026-11-21T10:20:00\t1\t0\t\r\n"));
        assert_ne!(first, ident("OPLOG 4\t14\t2026-11-21 10:20:00\t2\t0"));
        assert_ne!(first, ident("OPLOG 5\t14\t2026-11-21 10:20:00\t1\t0"));
        assert_ne!(first, ident("OPLOG 4\t15\t2026-11-21 10:20:00\t1\t0"));
    }

    #[test]
    fn an_error_is_an_event_without_a_time_and_without_its_additional_data() {
        let line = "ERRORLOG ErrCode=D01E0001\tErrMsg=\tDataOrigin=cmd\tCmdId=101\tAdditional=UElD";
        let reading = read("ERRORLOG", line);
        let event = &reading.events[0];
        assert_eq!(event.vendor_code.as_deref(), Some("D01E0001"));
        assert_eq!((event.occurred_at, &event.local_time), (None, &None));
        assert!(!format!("{event:?}").contains("UElD"));
    }

    proptest! {
        #[test]
        fn the_counter_agrees_with_the_reading_however_the_body_is_cut(
            body in prop::collection::vec(prop::sample::select(b"a\n\r\t\0 =".to_vec()), 0..60),
            cuts in prop::collection::vec(0usize..60, 0..5),
            table in prop::sample::select(vec!["BIODATA", "ATTPHOTO", "USERINFO"]),
        ) {
            let whole = read(table, body.clone());
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(body.len())).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let mut counter = LineCounter::new(&Table::from_name(table));
            for pair in cuts.windows(2) {
                counter.feed(&body[pair[0]..pair[1]]);
            }
            prop_assert_eq!(counter.records(), whole.records);
        }
    }
}
