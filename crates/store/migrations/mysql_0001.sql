-- Everything satellite keeps in MySQL and MariaDB. Every database has every table: the
-- registry's tables stay empty in a tenant's own event database.
-- Nothing here is newer than MySQL 5.7 and MariaDB 10.4. Every statement can run again: these
-- servers commit each by itself, so that a migration that was cut off is begun once more.

-- One row: the next number of the feed. Its lock, held until COMMIT, makes commit order
-- the order of seq over all writers. store_id names this database for ever.
CREATE TABLE IF NOT EXISTS feed_head (
    id TINYINT NOT NULL PRIMARY KEY,
    store_id BINARY(16) NOT NULL,
    next_seq BIGINT NOT NULL,
    server VARCHAR(190) NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What readers of the feed are told about a terminal whose events are here.
CREATE TABLE IF NOT EXISTS device (
    device_id BINARY(16) NOT NULL PRIMARY KEY,
    tenant VARCHAR(64) NULL,
    vendor VARCHAR(16) NOT NULL,
    serial VARCHAR(32) NOT NULL,
    name VARCHAR(128) NULL,
    site VARCHAR(128) NULL,
    time_zone VARCHAR(64) NOT NULL,
    canary TINYINT NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS event (
    seq BIGINT NOT NULL PRIMARY KEY,
    device_id BINARY(16) NOT NULL,
    ident BINARY(16) NOT NULL,
    event_uid BINARY(32) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    person VARCHAR(64) NULL,
    card VARCHAR(64) NULL,
    local_time VARCHAR(40) NULL,
    time_zone VARCHAR(64) NOT NULL,
    occurred_at DATETIME(3) NULL,
    received_at DATETIME(3) NOT NULL,
    status_code VARCHAR(32) NULL,
    verify_code VARCHAR(32) NULL,
    vendor_code VARCHAR(32) NULL,
    direction VARCHAR(8) NULL,
    door VARCHAR(32) NULL,
    route VARCHAR(16) NOT NULL,
    timeliness VARCHAR(16) NOT NULL,
    clock VARCHAR(16) NOT NULL,
    attributes TEXT NULL,
    raw MEDIUMBLOB NOT NULL,
    UNIQUE KEY event_identity (device_id, ident)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Records that could not become events, raw, once each.
CREATE TABLE IF NOT EXISTS quarantine (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    device_id BINARY(16) NOT NULL,
    raw_hash BINARY(16) NOT NULL,
    reason VARCHAR(24) NOT NULL,
    detail VARCHAR(500) NOT NULL,
    source VARCHAR(64) NOT NULL,
    route VARCHAR(16) NOT NULL,
    first_at DATETIME(3) NOT NULL,
    last_at DATETIME(3) NOT NULL,
    seen BIGINT NOT NULL,
    settled_at DATETIME(3) NULL,
    raw MEDIUMBLOB NOT NULL,
    UNIQUE KEY quarantine_identity (device_id, raw_hash)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Where reading a terminal stands: moved in the transaction that stores what was read.
CREATE TABLE IF NOT EXISTS device_cursor (
    device_id BINARY(16) NOT NULL,
    name VARCHAR(64) NOT NULL,
    value VARCHAR(190) NOT NULL,
    PRIMARY KEY (device_id, name)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Who may dial a terminal. fence grows with every new holder.
CREATE TABLE IF NOT EXISTS lease (
    device_id BINARY(16) NOT NULL PRIMARY KEY,
    holder VARCHAR(64) NOT NULL,
    fence BIGINT NOT NULL,
    expires_at DATETIME(3) NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What was last seen of each terminal, written at most once a minute.
CREATE TABLE IF NOT EXISTS device_state (
    device_id BINARY(16) NOT NULL PRIMARY KEY,
    state VARCHAR(16) NOT NULL,
    last_contact_at DATETIME(3) NULL,
    last_event_at DATETIME(3) NULL,
    clock_skew_seconds BIGINT NULL,
    log_used BIGINT NULL,
    log_capacity BIGINT NULL,
    gap_events BIGINT NULL,
    completeness VARCHAR(16) NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The registry: every enrolment there ever was. active is 1 or NULL, so that a serial has
-- one active enrolment and any number of past ones.
CREATE TABLE IF NOT EXISTS enrolment (
    device_id BINARY(16) NOT NULL PRIMARY KEY,
    vendor VARCHAR(16) NOT NULL,
    serial VARCHAR(32) NOT NULL,
    active TINYINT NULL,
    tenant VARCHAR(64) NOT NULL,
    state VARCHAR(16) NOT NULL,
    name VARCHAR(128) NULL,
    site VARCHAR(128) NULL,
    time_zone VARCHAR(64) NULL,
    canary TINYINT NOT NULL,
    accept_from DATETIME(3) NULL,
    created_at DATETIME(3) NOT NULL,
    UNIQUE KEY enrolment_serial (vendor, serial, active)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Work that dials a terminal or writes events: done by whoever holds the lease.
CREATE TABLE IF NOT EXISTS job (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    device_id BINARY(16) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    request TEXT NOT NULL,
    state VARCHAR(16) NOT NULL,
    progress VARCHAR(190) NULL,
    result TEXT NULL,
    holder VARCHAR(64) NULL,
    attempts BIGINT NOT NULL,
    created_at DATETIME(3) NOT NULL,
    expires_at DATETIME(3) NOT NULL,
    finished_at DATETIME(3) NULL,
    KEY job_waiting (state, id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Every change of enrolment and every command: who, when, what. Never changed.
CREATE TABLE IF NOT EXISTS audit (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    happened_at DATETIME(3) NOT NULL,
    actor VARCHAR(128) NOT NULL,
    action VARCHAR(32) NOT NULL,
    subject VARCHAR(190) NOT NULL,
    detail TEXT NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The feed is read along the primary key of event. Without the hint on device, a server with
-- few terminals scans that small table for a block of events at a time, and then has to sort
-- all that is left of the feed for each page of it.
CREATE OR REPLACE VIEW event_feed AS
SELECT e.seq AS seq, LOWER(HEX(e.event_uid)) AS event_uid, d.tenant AS tenant, d.vendor AS vendor,
       d.serial AS serial, d.name AS device_name, e.kind AS kind, e.person AS person,
       e.card AS card, e.local_time AS local_time, e.time_zone AS time_zone,
       e.occurred_at AS occurred_at, e.received_at AS received_at,
       e.status_code AS status_code, e.verify_code AS verify_code, e.vendor_code AS vendor_code,
       e.direction AS direction, e.door AS door, e.route AS route, e.timeliness AS timeliness,
       e.clock AS clock, e.attributes AS attributes, e.raw AS raw
FROM event e STRAIGHT_JOIN device d FORCE INDEX (PRIMARY) ON d.device_id = e.device_id
WHERE d.canary = 0;

CREATE OR REPLACE VIEW canary_feed AS
SELECT e.seq AS seq, LOWER(HEX(e.event_uid)) AS event_uid, d.tenant AS tenant, d.vendor AS vendor,
       d.serial AS serial, d.name AS device_name, e.kind AS kind, e.person AS person,
       e.card AS card, e.local_time AS local_time, e.time_zone AS time_zone,
       e.occurred_at AS occurred_at, e.received_at AS received_at,
       e.status_code AS status_code, e.verify_code AS verify_code, e.vendor_code AS vendor_code,
       e.direction AS direction, e.door AS door, e.route AS route, e.timeliness AS timeliness,
       e.clock AS clock, e.attributes AS attributes, e.raw AS raw
FROM event e STRAIGHT_JOIN device d FORCE INDEX (PRIMARY) ON d.device_id = e.device_id
WHERE d.canary = 1;

CREATE OR REPLACE VIEW device_status AS
SELECT d.serial AS serial, d.tenant AS tenant, d.site AS site, s.state AS state,
       s.last_contact_at AS last_contact_at, s.last_event_at AS last_event_at,
       s.clock_skew_seconds AS clock_skew_seconds, s.log_used AS log_used,
       s.log_capacity AS log_capacity, s.gap_events AS gap_events, s.completeness AS completeness
FROM device_state s JOIN device d ON d.device_id = s.device_id
WHERE d.canary = 0;
