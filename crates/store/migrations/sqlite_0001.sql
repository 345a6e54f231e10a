-- Everything satellite keeps in SQLite: the twin of the MySQL schema. Every database has every table: the
-- registry's tables stay empty in a tenant's own event database.

-- One row: the next number of the feed. Its lock, held until COMMIT, makes commit order
-- the order of seq over all writers. store_id names this database for ever.
CREATE TABLE feed_head (
    id INTEGER NOT NULL PRIMARY KEY,
    store_id BLOB NOT NULL,
    next_seq INTEGER NOT NULL,
    server TEXT NOT NULL
);

-- What readers of the feed are told about a terminal whose events are here.
CREATE TABLE device (
    device_id BLOB NOT NULL PRIMARY KEY,
    tenant TEXT NULL,
    vendor TEXT NOT NULL,
    serial TEXT NOT NULL,
    name TEXT NULL,
    site TEXT NULL,
    time_zone TEXT NOT NULL,
    canary INTEGER NOT NULL
);

CREATE TABLE event (
    seq INTEGER NOT NULL PRIMARY KEY,
    device_id BLOB NOT NULL,
    ident BLOB NOT NULL,
    event_uid BLOB NOT NULL,
    kind TEXT NOT NULL,
    person TEXT NULL,
    card TEXT NULL,
    local_time TEXT NULL,
    time_zone TEXT NOT NULL,
    occurred_at TEXT NULL,
    received_at TEXT NOT NULL,
    status_code TEXT NULL,
    verify_code TEXT NULL,
    vendor_code TEXT NULL,
    direction TEXT NULL,
    door TEXT NULL,
    route TEXT NOT NULL,
    timeliness TEXT NOT NULL,
    clock TEXT NOT NULL,
    attributes TEXT NULL,
    raw BLOB NOT NULL,
    UNIQUE (device_id, ident)
);

-- Records that could not become events, raw, once each.
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id BLOB NOT NULL,
    raw_hash BLOB NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    source TEXT NOT NULL,
    route TEXT NOT NULL,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    seen INTEGER NOT NULL,
    settled_at TEXT NULL,
    raw BLOB NOT NULL,
    UNIQUE (device_id, raw_hash)
);

-- Where reading a terminal stands: moved in the transaction that stores what was read.
CREATE TABLE device_cursor (
    device_id BLOB NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (device_id, name)
);

-- Who may dial a terminal. fence grows with every new holder.
CREATE TABLE lease (
    device_id BLOB NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    fence INTEGER NOT NULL,
    expires_at TEXT NOT NULL
);

-- What was last seen of each terminal, written at most once a minute.
CREATE TABLE device_state (
    device_id BLOB NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    last_contact_at TEXT NULL,
    last_event_at TEXT NULL,
    clock_skew_seconds INTEGER NULL,
    log_used INTEGER NULL,
    log_capacity INTEGER NULL,
    gap_events INTEGER NULL,
    completeness TEXT NOT NULL
);

-- The registry: every enrolment there ever was. active is 1 or NULL, so that a serial has
-- one active enrolment and any number of past ones.
CREATE TABLE enrolment (
    device_id BLOB NOT NULL PRIMARY KEY,
    vendor TEXT NOT NULL,
    serial TEXT NOT NULL,
    active INTEGER NULL,
    tenant TEXT NOT NULL,
    state TEXT NOT NULL,
    name TEXT NULL,
    site TEXT NULL,
    time_zone TEXT NULL,
    canary INTEGER NOT NULL,
    accept_from TEXT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (vendor, serial, active)
);

-- Work that dials a terminal or writes events: done by whoever holds the lease.
CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    request TEXT NOT NULL,
    state TEXT NOT NULL,
    progress TEXT NULL,
    result TEXT NULL,
    holder TEXT NULL,
    attempts INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    finished_at TEXT NULL
);

-- Every change of enrolment and every command: who, when, what. Never changed.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    happened_at TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
);

CREATE VIEW event_feed AS
SELECT e.seq AS seq, LOWER(HEX(e.event_uid)) AS event_uid, d.tenant AS tenant, d.vendor AS vendor,
       d.serial AS serial, d.name AS device_name, e.kind AS kind, e.person AS person,
       e.card AS card, e.local_time AS local_time, e.time_zone AS time_zone,
       e.occurred_at AS occurred_at, e.received_at AS received_at,
       e.status_code AS status_code, e.verify_code AS verify_code, e.vendor_code AS vendor_code,
       e.direction AS direction, e.door AS door, e.route AS route, e.timeliness AS timeliness,
       e.clock AS clock, e.attributes AS attributes, e.raw AS raw
FROM event e CROSS JOIN device d ON d.device_id = e.device_id
WHERE d.canary = 0;

CREATE VIEW canary_feed AS
SELECT e.seq AS seq, LOWER(HEX(e.event_uid)) AS event_uid, d.tenant AS tenant, d.vendor AS vendor,
       d.serial AS serial, d.name AS device_name, e.kind AS kind, e.person AS person,
       e.card AS card, e.local_time AS local_time, e.time_zone AS time_zone,
       e.occurred_at AS occurred_at, e.received_at AS received_at,
       e.status_code AS status_code, e.verify_code AS verify_code, e.vendor_code AS vendor_code,
       e.direction AS direction, e.door AS door, e.route AS route, e.timeliness AS timeliness,
       e.clock AS clock, e.attributes AS attributes, e.raw AS raw
FROM event e CROSS JOIN device d ON d.device_id = e.device_id
WHERE d.canary = 1;

CREATE VIEW device_status AS
SELECT d.serial AS serial, d.tenant AS tenant, d.site AS site, s.state AS state,
       s.last_contact_at AS last_contact_at, s.last_event_at AS last_event_at,
       s.clock_skew_seconds AS clock_skew_seconds, s.log_used AS log_used,
       s.log_capacity AS log_capacity, s.gap_events AS gap_events, s.completeness AS completeness
FROM device_state s JOIN device d ON d.device_id = s.device_id
WHERE d.canary = 0;

CREATE INDEX job_waiting ON job (state, id);
