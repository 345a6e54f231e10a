-- Where each output's reading of the feed stands. It stands beside the events, so that a copy that
-- is put back takes both back together.
CREATE TABLE IF NOT EXISTS output_cursor (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    seq INTEGER NOT NULL,
    paused INTEGER NOT NULL,
    revive INTEGER NOT NULL,
    holder TEXT NULL,
    held_until TEXT NULL,
    failing_since TEXT NULL,
    trouble TEXT NULL,
    delivered INTEGER NOT NULL,
    delivered_at TEXT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
);

-- Events that a receiver refused for good, or did not take in time: by number, never a copy.
CREATE TABLE IF NOT EXISTS output_letter (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    seq INTEGER NOT NULL,
    event_uid TEXT NOT NULL,
    reason TEXT NOT NULL,
    dead_at TEXT NOT NULL,
    settled_at TEXT NULL,
    PRIMARY KEY (tenant, name, seq)
);
