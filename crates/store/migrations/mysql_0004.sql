-- What is known of each terminal beyond its state: what it is, up to when its record is known to
-- be whole, and which windows of it are not. Tables of their own, because MySQL 5.7 cannot add a
-- column that may be there already, and every statement here must be able to run again.

-- What a terminal says of itself. A value that was not told again stays.
CREATE TABLE IF NOT EXISTS inventory (
    device_id BINARY(16) NOT NULL PRIMARY KEY,
    model VARCHAR(128) NULL,
    firmware VARCHAR(128) NULL,
    dialect VARCHAR(32) NULL,
    address VARCHAR(64) NULL,
    users_used BIGINT NULL,
    users_capacity BIGINT NULL,
    first_contact_at DATETIME(3) NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Everything that the terminal held at checked_at and that happened up to complete_to is stored.
CREATE TABLE IF NOT EXISTS assurance (
    device_id BINARY(16) NOT NULL PRIMARY KEY,
    complete_to DATETIME(3) NULL,
    checked_at DATETIME(3) NOT NULL,
    means VARCHAR(16) NOT NULL,
    device_count BIGINT NULL,
    stored_count BIGINT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Windows of a terminal's record that were found not whole. A closed one stays, for whoever asks
-- later what was late.
CREATE TABLE IF NOT EXISTS missing_window (
    device_id BINARY(16) NOT NULL,
    begins_at DATETIME(3) NOT NULL,
    ends_at DATETIME(3) NOT NULL,
    state VARCHAR(16) NOT NULL,
    device_count BIGINT NULL,
    stored_count BIGINT NULL,
    detail VARCHAR(190) NOT NULL,
    found_at DATETIME(3) NOT NULL,
    changed_at DATETIME(3) NOT NULL,
    PRIMARY KEY (device_id, begins_at)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
