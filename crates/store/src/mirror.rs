//! The copy on local disk (`state_dir/registry.db`) that lets a restart know every terminal
//! with all databases down.
//!
//! It holds the active enrolments, the last stamps that terminals echo, how far each store's
//! feed had come, and the terminals that wait for approval. Only the last of these has its
//! truth here; everything else is overwritten from the databases as soon as they answer. No
//! event is ever kept here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use event::{DeviceId, Millis, Serial, Text, Vendor};
use tokio::sync::Mutex;

use crate::floor::{Floor, Floors};
use crate::lockdown::{self, Lockdown};
use crate::registry::{Enrolment, SELECT, enrolment_row};
use crate::sqlite::IN_MEMORY;
use crate::transaction::{ended, placeholders};
use crate::{AnyEngine, Failure, Target, Value, access};

/// Terminals that may wait for approval; a stranger who sends invented serials must not fill
/// the disk.
pub const PENDING_LIMIT: i64 = 1000;

/// Rows a statement carries at most.
const ROWS: usize = 100;

/// Each made where it is missing, so that a file of an earlier version gets what is new: only
/// tables are ever added, never columns.
const TABLES: [&str; 8] = [
    "CREATE TABLE IF NOT EXISTS enrolment (device_id BLOB NOT NULL PRIMARY KEY, vendor TEXT NOT \
     NULL, serial TEXT NOT NULL, tenant TEXT NOT NULL, state TEXT NOT NULL, name TEXT NULL, \
     site TEXT NULL, time_zone TEXT NULL, canary INTEGER NOT NULL, accept_from TEXT NULL, \
     created_at TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS access (device_id BLOB NOT NULL PRIMARY KEY, address TEXT NULL, \
     user_name TEXT NULL, secret_file TEXT NULL, token_hash BLOB NULL, mac TEXT NULL)",
    "CREATE TABLE IF NOT EXISTS schedule (device_id BLOB NOT NULL PRIMARY KEY, every_seconds \
     INTEGER NULL)",
    "CREATE TABLE IF NOT EXISTS feed_mark (label TEXT NOT NULL PRIMARY KEY, store_id BLOB NOT \
     NULL, server TEXT NOT NULL, next_seq INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS feed_reserve (label TEXT NOT NULL PRIMARY KEY, store_id BLOB NOT \
     NULL, reserved INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS stamp (device_id BLOB NOT NULL, name TEXT NOT NULL, value TEXT \
     NOT NULL, PRIMARY KEY (device_id, name))",
    "CREATE TABLE IF NOT EXISTS pending (vendor TEXT NOT NULL, serial TEXT NOT NULL, first_seen \
     TEXT NOT NULL, address TEXT NOT NULL, model TEXT NULL, PRIMARY KEY (vendor, serial))",
    "CREATE TABLE IF NOT EXISTS lockdown (scope TEXT NOT NULL PRIMARY KEY, since TEXT NOT NULL, \
     actor TEXT NOT NULL)",
];

const ENROLMENT_COLUMNS: &str = "device_id, vendor, serial, tenant, state, name, site, time_zone, \
     canary, accept_from, created_at";

/// How far a store's feed had come when we last looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedMark {
    /// The name of the database.
    pub store_id: [u8; 16],
    /// The server it was on.
    pub server: String,
    /// The next number it was going to give out.
    pub next_seq: i64,
}

/// A terminal that spoke to us and is not enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Protocol family, by the door it knocked at.
    pub vendor: Vendor,
    /// What it calls itself.
    pub serial: Serial,
    /// When it first came.
    pub first_seen: Millis,
    /// From where, as text.
    pub address: Text,
    /// What it says it is, if it does.
    pub model: Option<Text>,
}

/// The open mirror; clones share one connection.
#[derive(Clone)]
pub struct Mirror {
    path: PathBuf,
    /// Empty while a method works with the connection: one that fails, or is dropped half way,
    /// does not put it back, and the next method opens a new one.
    connection: Arc<Mutex<Option<AnyEngine>>>,
    floors: Floors,
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mirror({})", self.path.display())
    }
}

impl Mirror {
    /// Opens `registry.db` in that folder, which must exist, and makes its tables if needed.
    /// Several processes may have it open.
    pub async fn open(state_dir: &Path) -> Result<Self, Failure> {
        Self::at(state_dir.join("registry.db"), Floors::beside(state_dir)).await
    }

    /// A mirror that is gone with its last clone, for tests and demonstrations.
    pub async fn in_memory() -> Result<Self, Failure> {
        Self::at(PathBuf::from(IN_MEMORY), Floors::default()).await
    }

    async fn at(path: PathBuf, floors: Floors) -> Result<Self, Failure> {
        let engine = connect(&path).await?;
        Ok(Self {
            path,
            connection: Arc::new(Mutex::new(Some(engine))),
            floors,
        })
    }

    async fn take(&self, slot: &mut Option<AnyEngine>) -> Result<AnyEngine, Failure> {
        match slot.take() {
            Some(engine) => Ok(engine),
            None => connect(&self.path).await,
        }
    }

    /// Replaces the copy of the registry by these enrolments.
    pub async fn save_enrolments(&self, enrolments: &[Enrolment]) -> Result<(), Failure> {
        let mut slot = self.connection.lock().await;
        let mut engine = self.take(&mut slot).await?;
        engine.begin().await?;
        let done = replace_enrolments(&mut engine, enrolments).await;
        ended(&mut engine, done).await?;
        *slot = Some(engine);
        Ok(())
    }

    /// The copy of the registry, by serial.
    pub async fn enrolments(&self) -> Result<Vec<Enrolment>, Failure> {
        let sql = format!("{SELECT} ORDER BY e.serial, e.vendor");
        let rows = self.fetch(crate::built(sql), &[]).await?;
        rows.iter().map(enrolment_row).collect()
    }

    /// Replaces the copy of what lockdowns hold.
    pub async fn save_lockdowns(&self, held: &[Lockdown]) -> Result<(), Failure> {
        let mut slot = self.connection.lock().await;
        let mut engine = self.take(&mut slot).await?;
        engine.begin().await?;
        let done = lockdown::replace(&mut engine, held).await;
        ended(&mut engine, done).await?;
        *slot = Some(engine);
        Ok(())
    }

    /// The copy of what lockdowns hold.
    pub async fn lockdowns(&self) -> Result<Vec<Lockdown>, Failure> {
        let sql = crate::fixed("SELECT scope, since, actor FROM lockdown ORDER BY scope");
        let rows = self.fetch(sql, &[]).await?;
        rows.iter().map(lockdown::row).collect()
    }

    /// How far the store of that label had come; `None` when it was never noted.
    pub async fn feed_mark(&self, label: &str) -> Result<Option<FeedMark>, Failure> {
        let sql = crate::fixed("SELECT store_id, server, next_seq FROM feed_mark WHERE label = ?");
        let rows = self.fetch(sql, &[Value::Text(label)]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let wrong = |_| Failure::schema("a store_id in registry.db does not have 16 bytes");
        let store_id = row.bytes(0)?.try_into().map_err(wrong)?;
        let noted = self.floors.noted(label);
        let floor = noted.filter(|floor| floor.store_id == store_id);
        Ok(Some(FeedMark {
            store_id,
            server: row.text(1)?,
            next_seq: row.int(2)?.max(floor.map_or(0, |floor| floor.next_seq)),
        }))
    }

    /// Notes how far a store has come, to the last commit; see `floor`.
    pub(crate) async fn note_floor(&self, label: &str, floor: Floor) -> std::io::Result<()> {
        self.floors.note(label, floor).await
    }

    /// The number up to which numbers of that store may have been given out; 0 when none was
    /// reserved, or for another store.
    pub(crate) async fn reserved(&self, label: &str, store: [u8; 16]) -> Result<i64, Failure> {
        let sql = "SELECT reserved FROM feed_reserve WHERE label = ? AND store_id = ?";
        let values = [Value::Text(label), Value::Bytes(&store)];
        let rows = self.fetch(crate::fixed(sql), &values).await?;
        rows.first().map_or(Ok(0), |row| row.int(0))
    }

    /// Numbers up to `reserved` may be given out from now on; the mark, which says of which store,
    /// is saved in the same transaction. Durable when this returns. Never lowers what another
    /// process has reserved.
    pub(crate) async fn reserve(
        &self,
        label: &str,
        mark: &FeedMark,
        reserved: i64,
    ) -> Result<(), Failure> {
        let mut slot = self.connection.lock().await;
        let mut engine = self.take(&mut slot).await?;
        engine.begin().await?;
        let done = write_reserve(&mut engine, label, mark, reserved).await;
        ended(&mut engine, done).await?;
        *slot = Some(engine);
        Ok(())
    }

    /// Of what was reserved up to `reserved`, only the numbers below the mark were given out; kept
    /// as it is when another process has reserved more since.
    pub(crate) async fn give_back(
        &self,
        label: &str,
        mark: &FeedMark,
        reserved: i64,
    ) -> Result<(), Failure> {
        let sql = "UPDATE feed_reserve SET reserved = ? WHERE label = ? AND store_id = ? \
                   AND reserved = ?";
        let values = [
            Value::Int(mark.next_seq),
            Value::Text(label),
            Value::Bytes(&mark.store_id),
            Value::Int(reserved),
        ];
        self.execute(crate::fixed(sql), &values).await.map(drop)
    }

    /// Notes how far the store of that label has come.
    pub async fn set_feed_mark(&self, label: &str, mark: &FeedMark) -> Result<(), Failure> {
        let mut slot = self.connection.lock().await;
        let mut engine = self.take(&mut slot).await?;
        write_mark(&mut engine, label, mark).await?;
        *slot = Some(engine);
        Ok(())
    }

    /// Every stamp: whose, its name, its value.
    pub async fn stamps(&self) -> Result<Vec<(DeviceId, Text, Text)>, Failure> {
        let sql = "SELECT device_id, name, value FROM stamp ORDER BY device_id, name";
        let rows = self.fetch(crate::fixed(sql), &[]).await?;
        let stamps = rows.iter().map(|row| {
            Ok((
                row.device_id(0)?,
                Text::from(row.text(1)?),
                Text::from(row.text(2)?),
            ))
        });
        stamps.collect()
    }

    /// Overwrites these stamps and leaves the others.
    pub async fn save_stamps(&self, stamps: &[(DeviceId, Text, Text)]) -> Result<(), Failure> {
        if stamps.is_empty() {
            return Ok(());
        }
        let mut slot = self.connection.lock().await;
        let mut engine = self.take(&mut slot).await?;
        engine.begin().await?;
        let done = write_stamps(&mut engine, stamps).await;
        ended(&mut engine, done).await?;
        *slot = Some(engine);
        Ok(())
    }

    /// Notes a terminal at first sight. Answers false, and writes nothing, when it stands here
    /// already or [`PENDING_LIMIT`] is reached.
    pub async fn add_pending(&self, pending: &Pending) -> Result<bool, Failure> {
        let sql = "INSERT INTO pending (vendor, serial, first_seen, address, model) \
                   SELECT ?, ?, ?, ?, ? WHERE (SELECT COUNT(*) FROM pending) < ? \
                   ON CONFLICT (vendor, serial) DO NOTHING";
        let values = [
            Value::Text(pending.vendor.as_str()),
            Value::Text(pending.serial.as_str()),
            Value::Text(&pending.first_seen.text()),
            Value::Text(&pending.address),
            Value::opt(pending.model.as_deref()),
            Value::Int(PENDING_LIMIT),
        ];
        Ok(self.execute(crate::fixed(sql), &values).await? == 1)
    }

    /// Every terminal that waits, the first seen first.
    pub async fn pending(&self) -> Result<Vec<Pending>, Failure> {
        let sql = "SELECT vendor, serial, first_seen, address, model FROM pending \
                   ORDER BY first_seen, serial";
        let rows = self.fetch(crate::fixed(sql), &[]).await?;
        let list = rows.iter().map(|row| {
            let vendor = row.text(0)?;
            let unknown = || Failure::schema(format!("'{vendor}' is not a vendor"));
            Ok(Pending {
                vendor: Vendor::from_word(&vendor).ok_or_else(unknown)?,
                serial: Serial::new(&row.text(1)?).map_err(Failure::schema)?,
                first_seen: row.time(2)?,
                address: row.text(3)?.into(),
                model: row.opt_text(4)?.map(Text::from),
            })
        });
        list.collect()
    }

    /// Takes a serial off the list of those that wait.
    pub async fn forget_pending(&self, serial: &Serial) -> Result<(), Failure> {
        let sql = crate::fixed("DELETE FROM pending WHERE serial = ?");
        self.execute(sql, &[Value::Text(serial.as_str())])
            .await
            .map(drop)
    }

    async fn fetch(
        &self,
        sql: sqlx::SqlStr,
        values: &[Value<'_>],
    ) -> Result<Vec<crate::Row>, Failure> {
        let mut slot = self.connection.lock().await;
        let mut engine = self.take(&mut slot).await?;
        let rows = engine.fetch(sql, values).await?;
        *slot = Some(engine);
        Ok(rows)
    }

    async fn execute(&self, sql: sqlx::SqlStr, values: &[Value<'_>]) -> Result<u64, Failure> {
        let mut slot = self.connection.lock().await;
        let mut engine = self.take(&mut slot).await?;
        let touched = engine.execute(sql, values).await?;
        *slot = Some(engine);
        Ok(touched)
    }
}

async fn connect(path: &Path) -> Result<AnyEngine, Failure> {
    let mut engine = Target::Sqlite(path.to_owned()).connect().await?;
    for table in TABLES {
        engine.execute(crate::fixed(table), &[]).await?;
    }
    Ok(engine)
}

async fn replace_enrolments(
    engine: &mut AnyEngine,
    enrolments: &[Enrolment],
) -> Result<(), Failure> {
    for emptied in [
        "DELETE FROM enrolment",
        "DELETE FROM access",
        "DELETE FROM schedule",
    ] {
        engine.execute(crate::fixed(emptied), &[]).await?;
    }
    for some in enrolments.chunks(ROWS) {
        let times: Vec<_> = some
            .iter()
            .map(|it| (it.accept_from.map(Millis::text), it.created_at.text()))
            .collect();
        let mut values = Vec::with_capacity(some.len() * 11);
        for (it, (accept_from, created_at)) in some.iter().zip(&times) {
            values.extend([
                Value::Bytes(&it.id.0),
                Value::Text(it.vendor.as_str()),
                Value::Text(it.serial.as_str()),
                Value::Text(it.tenant.as_str()),
                Value::Text(it.state.as_str()),
                Value::opt(it.name.as_deref()),
                Value::opt(it.site.as_deref()),
                Value::opt(it.time_zone.as_deref()),
                Value::Int(i64::from(it.canary)),
                Value::opt(accept_from.as_deref()),
                Value::Text(created_at),
            ]);
        }
        let list = placeholders(some.len(), 11);
        let sql = format!("INSERT INTO enrolment ({ENROLMENT_COLUMNS}) VALUES {list}");
        engine.execute(crate::built(sql), &values).await?;
        let reached = some.iter().flat_map(|it| it.access.values(&it.id));
        let (columns, list) = (
            access::COLUMNS,
            placeholders(some.len(), access::COLUMN_COUNT),
        );
        let sql = format!("INSERT INTO access ({columns}) VALUES {list}");
        let values: Vec<Value<'_>> = reached.collect();
        engine.execute(crate::built(sql), &values).await?;
        let often = some
            .iter()
            .flat_map(|it| access::schedule_values(&it.id, it.access.every));
        let columns = access::SCHEDULE_COLUMNS;
        let list = placeholders(some.len(), 2);
        let sql = format!("INSERT INTO schedule ({columns}) VALUES {list}");
        let values: Vec<Value<'_>> = often.collect();
        engine.execute(crate::built(sql), &values).await?;
    }
    Ok(())
}

/// Of one store a mark never falls back: an older copy of it goes on in a new epoch.
async fn write_mark(engine: &mut AnyEngine, label: &str, mark: &FeedMark) -> Result<(), Failure> {
    let sql = "INSERT INTO feed_mark (label, store_id, server, next_seq) VALUES (?, ?, ?, ?) \
               ON CONFLICT (label) DO UPDATE SET server = excluded.server, \
               next_seq = CASE WHEN store_id = excluded.store_id \
               THEN MAX(next_seq, excluded.next_seq) ELSE excluded.next_seq END, \
               store_id = excluded.store_id";
    let values = [
        Value::Text(label),
        Value::Bytes(&mark.store_id),
        Value::Text(&mark.server),
        Value::Int(mark.next_seq),
    ];
    engine.execute(crate::fixed(sql), &values).await.map(drop)
}

async fn write_reserve(
    engine: &mut AnyEngine,
    label: &str,
    mark: &FeedMark,
    reserved: i64,
) -> Result<(), Failure> {
    write_mark(engine, label, mark).await?;
    let sql = "INSERT INTO feed_reserve (label, store_id, reserved) VALUES (?, ?, ?) \
               ON CONFLICT (label) DO UPDATE SET \
               reserved = CASE WHEN store_id = excluded.store_id \
               THEN MAX(reserved, excluded.reserved) ELSE excluded.reserved END, \
               store_id = excluded.store_id";
    let values = [
        Value::Text(label),
        Value::Bytes(&mark.store_id),
        Value::Int(reserved),
    ];
    engine.execute(crate::fixed(sql), &values).await.map(drop)
}

async fn write_stamps(
    engine: &mut AnyEngine,
    stamps: &[(DeviceId, Text, Text)],
) -> Result<(), Failure> {
    let end = engine.dialect().overwrite("device_id, name", &["value"]);
    for some in stamps.chunks(ROWS) {
        let values: Vec<Value<'_>> = some
            .iter()
            .flat_map(|(id, name, value)| {
                [Value::Bytes(&id.0), Value::Text(name), Value::Text(value)]
            })
            .collect();
        let list = placeholders(some.len(), 3);
        let sql = format!("INSERT INTO stamp (device_id, name, value) VALUES {list} {end}");
        engine.execute(crate::built(sql), &values).await?;
    }
    Ok(())
}
