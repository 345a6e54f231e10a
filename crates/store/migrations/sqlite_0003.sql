-- Commands to push terminals: the twin of the MySQL schema.

-- id is random, so that no other installation has it and a result cannot be forged. result is a
-- JSON text. Rows are never deleted by satellite: they are part of the audit.
CREATE TABLE command (
    id TEXT NOT NULL PRIMARY KEY,
    device_id BLOB NOT NULL,
    serial TEXT NOT NULL,
    form TEXT NOT NULL,
    command_text TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    actor TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    sent_at TEXT NULL,
    answered_at TEXT NULL,
    return_code INTEGER NULL,
    records INTEGER NOT NULL,
    result TEXT NULL
);

CREATE INDEX command_state ON command (state, created_at);
CREATE INDEX command_device ON command (device_id, created_at);
