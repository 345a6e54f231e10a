-- Commands to push terminals. A table of its own; every statement here can run again.

-- id is random, so that no other installation has it and a result cannot be forged. result is a
-- JSON text. Rows are never deleted by satellite: they are part of the audit.
CREATE TABLE IF NOT EXISTS command (
    id VARCHAR(16) NOT NULL PRIMARY KEY,
    device_id BINARY(16) NOT NULL,
    serial VARCHAR(32) NOT NULL,
    form VARCHAR(32) NOT NULL,
    command_text VARCHAR(1500) NOT NULL,
    state VARCHAR(16) NOT NULL,
    attempts BIGINT NOT NULL,
    actor VARCHAR(128) NOT NULL,
    created_at DATETIME(3) NOT NULL,
    expires_at DATETIME(3) NOT NULL,
    sent_at DATETIME(3) NULL,
    answered_at DATETIME(3) NULL,
    return_code BIGINT NULL,
    records BIGINT NOT NULL,
    result TEXT NULL,
    KEY command_state (state, created_at),
    KEY command_device (device_id, created_at)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
