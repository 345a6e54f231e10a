//! How much room an event takes on the disk, how long the usual questions take, and how fast new
//! events are stored as a table grows, on SQLite and on a durable MariaDB.
//!
//! The first rows come through [`store::Writer`], as a terminal's do. The table then grows by copies
//! of them inside the server, each with a random identity of its own, so that the index over
//! identities is filled in the order in which real ones fill it: in none. What is told is of the
//! table and its indexes alone, without logs; what is asked is asked three times, and the middle
//! time is told.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use event::{Event, Millis, SharedDevice};
use mariadb::{Address, Flavor, Server};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};
use store::feed::{self, FeedFilter};
use store::{AnyEngine, Gate, Mirror, Submission, Target, Value, Writer};

use crate::parse::number;
use crate::report::{Cell, Report, Table};
use crate::samples;
use crate::writer::{self, Loud, mariadb_target, migrate};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Rows at which to measure, one after the other, rising.
    #[arg(long, value_delimiter = ',', default_value = "1000000")]
    rows: Vec<u64>,
    /// Only on this engine: sqlite or mariadb.
    #[arg(long)]
    only: Option<String>,
    /// What the rows are.
    #[arg(long, value_enum, default_value = "attendance")]
    of: Of,
}

/// What the rows of the table are.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Of {
    /// Lines of a ZKTeco terminal's attendance log.
    Attendance,
    /// Rows of a Hikvision terminal's log, as its search tells them.
    Hikvision,
}

impl Of {
    fn note(self) -> &'static str {
        match self {
            Self::Attendance => "Rows are ATTLOG lines of 7 columns",
            Self::Hikvision => "Rows are those of a Hikvision search, with names and no pictures",
        }
    }

    fn events(self) -> Result<Vec<Event>> {
        match self {
            Self::Attendance => samples::events(1, ROWS_EACH),
            Self::Hikvision => samples::hikvision_events(1, ROWS_EACH),
        }
    }
}

/// A way to grow that is worth a hurry, in rows, and how often it is told where it is.
const FAR: u64 = 10_000_000;
const TOLD: u64 = 1_000_000;
/// What lets a server take rows as fast as it can: its indexes fit into memory, and nothing waits
/// for the disk.
const HURRY: &str = "SET GLOBAL innodb_buffer_pool_size = 9 << 30; \
                     SET GLOBAL innodb_log_file_size = 10 << 30; SET GLOBAL innodb_io_capacity = 3000; \
                     SET GLOBAL innodb_flush_log_at_trx_commit = 0; SET GLOBAL sync_binlog = 0";
/// As it was, durable and small; what is measured is measured so.
const AT_REST: &str = "SET GLOBAL innodb_buffer_pool_size = 256 << 20; \
                       SET GLOBAL innodb_log_file_size = 96 << 20; SET GLOBAL innodb_io_capacity = 200; \
                       SET GLOBAL innodb_flush_log_at_trx_commit = 1; SET GLOBAL sync_binlog = 1";
/// Memory that the server still holds, in pages that are to be written or given back.
const HELD: &str = "SELECT CAST(SUM(variable_value) AS UNSIGNED) FROM information_schema.global_status \
                    WHERE variable_name IN ('Innodb_buffer_pool_pages_total', \
                    'Innodb_buffer_pool_pages_dirty')";
/// A pool of 256 MiB has 16,384 pages of 16 KiB, and a few are always dirty.
const SETTLED: u64 = 17_500;
/// How long giving back may take.
const SETTLED_WITHIN: Duration = Duration::from_secs(900);

const SIZES: &[&str] = &["on", "rows", "MiB", "bytes an event"];
const TIMES: &[&str] = &["on", "rows", "asked", "ms"];
const SPEEDS: &[&str] = &["on", "rows", "new rows/s"];

/// Terminals, and rows of each in the first piece.
const TERMINALS: u64 = 20;
const ROWS_EACH: u64 = 500;
const PIECE: u64 = TERMINALS * ROWS_EACH;
/// Rows of a piece that are copied by one statement.
const STEP: u64 = 1_000;
/// Terminals that bring new rows at once, in submissions of so many, for so many seconds.
const WRITERS: u64 = 32;
const BATCH: usize = 100;
const SECONDS: u64 = 10;
/// How often each question is asked.
const TIMES_ASKED: usize = 3;
/// An answer that took longer is not waited for again.
const LONG: Duration = Duration::from_secs(60);

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let mut tables = Tables {
        sizes: Table::new("Room", SIZES),
        times: Table::new("Questions", TIMES),
        speeds: Table::new("Writing, submissions of 100 from 32 terminals", SPEEDS),
    };
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    let folder = tempfile::tempdir().context("no temporary folder")?;
    if wanted("sqlite") {
        let target = Target::Sqlite(folder.path().join("events.db"));
        let mut grown = Grown::new("SQLite", target, options.of).await?;
        grown.measure(&options.rows, &mut tables).await?;
    }
    if wanted("mariadb") {
        let server = tokio::task::spawn_blocking(|| Server::start(Flavor::Durable)).await??;
        let database = server.address().fresh_database("sizing")?;
        let target = mariadb_target(server.address(), &database);
        let mut grown = Grown::new("MariaDB, durable", target, options.of).await?;
        grown.server = Some(server.address().clone());
        grown.measure(&options.rows, &mut tables).await?;
    }
    let report = Report::new(vec![tables.sizes, tables.times, tables.speeds]);
    let what = options.of.note();
    Ok(report.note(format!("{what}; bytes are of table and indexes.")))
}

/// What is told.
struct Tables {
    sizes: Table,
    times: Table,
    speeds: Table,
}

/// A table that grows.
pub(crate) struct Grown {
    name: &'static str,
    /// The server that may hurry while it only grows.
    server: Option<Address>,
    target: Target,
    engine: AnyEngine,
    is_sqlite: bool,
    /// The first terminal that has brought nothing.
    unheard: u64,
    rows: u64,
    /// The number of the first row.
    first: i64,
}

impl Grown {
    /// The first piece, written as events are.
    pub(crate) async fn new(name: &'static str, target: Target, of: Of) -> Result<Self> {
        migrate(&target).await?;
        let is_sqlite = matches!(target, Target::Sqlite(_));
        let mut engine = target.connect().await?;
        let mirror = Mirror::in_memory().await?;
        let writer = Writer::spawn(
            "sizing",
            target.clone(),
            mirror,
            Gate::new(4),
            std::sync::Arc::new(Loud),
        );
        for n in 0..TERMINALS {
            let receipt = writer.submit(brought(samples::device(n)?, of)?).await?;
            ensure!(receipt.new == ROWS_EACH, "{receipt:?}");
        }
        writer.close().await;
        let sql = "SELECT MIN(seq) FROM event WHERE kind = 'punch'";
        let found = engine.fetch(AssertSqlSafe(sql).into_sql_str(), &[]).await?;
        let first = found.first().context("no row")?.int(0)?;
        Ok(Self {
            name,
            server: None,
            target,
            engine,
            is_sqlite,
            unheard: TERMINALS,
            rows: PIECE,
            first,
        })
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    async fn measure(&mut self, at: &[u64], tables: &mut Tables) -> Result<()> {
        for rows in at {
            self.grow_to(*rows).await?;
            let bytes = self.bytes().await?;
            tables.sizes.push(vec![
                Cell::text(self.name),
                Cell::Count(self.rows),
                Cell::Number(number(bytes) / f64::from(1 << 20), 0),
                Cell::Number(number(bytes) / number(self.rows), 0),
            ]);
            for (asked, time) in self.questions().await? {
                tables.times.push(vec![
                    Cell::text(self.name),
                    Cell::Count(self.rows),
                    Cell::text(asked),
                    Cell::Number(time.as_secs_f64() * 1_000.0, 1),
                ]);
            }
            let before = self.rows;
            let speed = self.speed().await?;
            let on = Cell::text(self.name);
            let row = vec![on, Cell::Count(before), Cell::rate(speed)];
            tables.speeds.push(row);
        }
        Ok(())
    }

    /// How many new rows a second the writer stores.
    async fn speed(&mut self) -> Result<f64> {
        let terminals = self.unheard..self.unheard + WRITERS;
        self.unheard = terminals.end;
        let (target, mirror) = (self.target.clone(), Mirror::in_memory().await?);
        let (rows, rate) = writer::rate(target, mirror, BATCH, terminals, SECONDS).await?;
        // They took the numbers behind those that were there.
        self.rows += rows;
        Ok(rate)
    }

    /// At least so many rows.
    pub(crate) async fn grow_to(&mut self, rows: u64) -> Result<()> {
        let begin = Instant::now();
        let far = rows.saturating_sub(self.rows) > FAR;
        let hurried = self.server.clone().filter(|_| far);
        if let Some(server) = &hurried {
            server.sql(HURRY)?;
        }
        while self.rows < rows {
            self.grow().await?;
            if self.rows.is_multiple_of(TOLD) {
                eprintln!("  {} rows after {:?}", self.rows, begin.elapsed());
                if let Some(server) = &hurried {
                    server.sql("FLUSH BINARY LOGS; PURGE BINARY LOGS BEFORE NOW()")?;
                }
            }
        }
        if let Some(server) = &hurried {
            at_rest(server).await?;
        }
        // Readers look no further than the number that is given out next.
        let sql = "UPDATE feed_head SET next_seq = (SELECT MAX(seq) + 1 FROM event)";
        let moved = self.engine.execute(AssertSqlSafe(sql).into_sql_str(), &[]);
        moved.await?;
        eprintln!("{}: {} rows in {:?}", self.name, self.rows, begin.elapsed());
        Ok(())
    }

    /// One piece more, in steps that no server needs long for.
    async fn grow(&mut self) -> Result<()> {
        let random = if self.is_sqlite {
            "randomblob(16)"
        } else {
            "RANDOM_BYTES(16)"
        };
        let copied = "kind, person, card, local_time, time_zone, occurred_at, received_at, \
                      status_code, verify_code, vendor_code, direction, door, route, timeliness, \
                      clock, attributes, raw";
        let sql = format!(
            "INSERT INTO event (seq, device_id, ident, event_uid, {copied}) SELECT seq + ?, \
             device_id, {random}, {random}, {copied} FROM event WHERE seq >= ? AND seq < ? \
             AND kind = 'punch'"
        );
        let ahead = Value::Int(i64::try_from(self.rows)?);
        for step in 0..PIECE / STEP {
            let from = self.first.saturating_add_unsigned(step * STEP);
            let to = Value::Int(from.saturating_add_unsigned(STEP));
            let values = [ahead, Value::Int(from), to];
            let sql = AssertSqlSafe(sql.as_str()).into_sql_str();
            let done = self.engine.execute(sql, &values).await?;
            ensure!(done == STEP, "the first piece has holes");
        }
        self.rows += PIECE;
        Ok(())
    }

    /// What table and indexes take.
    async fn bytes(&mut self) -> Result<u64> {
        let sql = if self.is_sqlite {
            "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
        } else {
            let analyse = AssertSqlSafe("ANALYZE TABLE event").into_sql_str();
            self.engine.fetch(analyse, &[]).await?;
            "SELECT CAST(data_length + index_length AS SIGNED) FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_name = 'event'"
        };
        let rows = self
            .engine
            .fetch(AssertSqlSafe(sql).into_sql_str(), &[])
            .await?;
        let bytes = rows.first().context("no size")?.int(0)?;
        Ok(u64::try_from(bytes)?)
    }

    /// What is asked every day, and how long it takes.
    async fn questions(&mut self) -> Result<Vec<(&'static str, Duration)>> {
        let middle = self.first.saturating_add_unsigned(self.rows / 2);
        let page = FeedFilter {
            after_seq: middle,
            ..FeedFilter::default()
        };
        let newest = FeedFilter {
            after_seq: self.first.saturating_add_unsigned(self.rows - 100),
            ..FeedFilter::default()
        };
        let person = FeedFilter {
            person: Some("nobody".to_owned()),
            ..FeedFilter::default()
        };
        let since = FeedFilter {
            since: Some(Millis(4_000_000_000_000)),
            ..FeedFilter::default()
        };
        let mut told = Vec::new();
        for (asked, filter) in [
            ("1,000 rows after a number", page),
            ("the newest 100 rows after a number", newest),
            ("a person, through the whole table", person),
            ("since a time, through the whole table", since),
        ] {
            told.push((asked, self.middle_time(&filter).await?));
        }
        told.push(("are these 100 records known", self.known(middle).await?));
        Ok(told)
    }

    async fn middle_time(&mut self, filter: &FeedFilter) -> Result<Duration> {
        let mut taken = Vec::new();
        for _ in 0..TIMES_ASKED {
            let begin = Instant::now();
            feed::read(&mut self.engine, filter).await?;
            taken.push(begin.elapsed());
            if begin.elapsed() > LONG {
                break;
            }
        }
        Ok(middle(taken))
    }

    /// What the writer asks of an upload that is sent again.
    async fn known(&mut self, at: i64) -> Result<Duration> {
        let sql = "SELECT device_id, ident FROM event WHERE seq >= ? ORDER BY seq LIMIT 100";
        let rows = self
            .engine
            .fetch(AssertSqlSafe(sql).into_sql_str(), &[Value::Int(at)])
            .await?;
        let device = rows.first().context("no row")?.bytes(0)?.to_vec();
        let idents: Result<Vec<Vec<u8>>, store::Failure> =
            rows.iter().map(|row| Ok(row.bytes(1)?.to_vec())).collect();
        let idents = idents?;
        let marks = vec!["?"; idents.len()].join(",");
        let sql = format!("SELECT seq FROM event WHERE device_id = ? AND ident IN ({marks})");
        let values: Vec<Value<'_>> = std::iter::once(&device)
            .chain(&idents)
            .map(|bytes| Value::Bytes(bytes))
            .collect();
        let mut taken = Vec::new();
        for _ in 0..TIMES_ASKED {
            let begin = Instant::now();
            let sql = AssertSqlSafe(sql.clone()).into_sql_str();
            self.engine.fetch(sql, &values).await?;
            taken.push(begin.elapsed());
        }
        Ok(middle(taken))
    }
}

/// Puts a server that hurried back to what it was, and waits until it is.
async fn at_rest(server: &Address) -> Result<()> {
    server.sql(AT_REST)?;
    let begun = Instant::now();
    loop {
        let held: u64 = server.sql(HELD)?.trim().parse().context("no count")?;
        if held < SETTLED {
            eprintln!("  at rest after {:?}", begun.elapsed());
            return Ok(());
        }
        ensure!(begun.elapsed() < SETTLED_WITHIN, "{held} pages are held");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn middle(mut taken: Vec<Duration>) -> Duration {
    taken.sort_unstable();
    taken.get(taken.len() / 2).copied().unwrap_or_default()
}

fn brought(device: SharedDevice, of: Of) -> Result<Submission> {
    Ok(Submission {
        device,
        events: of.events()?,
        quarantined: Vec::new(),
        cursors: Vec::new(),
        expects: None,
        fence: None,
    })
}
