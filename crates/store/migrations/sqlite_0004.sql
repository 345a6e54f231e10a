-- What is known of each terminal beyond its state: the twin of the MySQL schema.

-- What a terminal says of itself. A value that was not told again stays.
CREATE TABLE IF NOT EXISTS inventory (
    device_id BLOB NOT NULL PRIMARY KEY,
    model TEXT NULL,
    firmware TEXT NULL,
    dialect TEXT NULL,
    address TEXT NULL,
    users_used INTEGER NULL,
    users_capacity INTEGER NULL,
    first_contact_at TEXT NULL
);

-- Everything that the terminal held at checked_at and that happened up to complete_to is stored.
CREATE TABLE IF NOT EXISTS assurance (
    device_id BLOB NOT NULL PRIMARY KEY,
    complete_to TEXT NULL,
    checked_at TEXT NOT NULL,
    means TEXT NOT NULL,
    device_count INTEGER NULL,
    stored_count INTEGER NULL
);

-- Windows of a terminal's record that were found not whole. A closed one stays, for whoever asks
-- later what was late.
CREATE TABLE IF NOT EXISTS missing_window (
    device_id BLOB NOT NULL,
    begins_at TEXT NOT NULL,
    ends_at TEXT NOT NULL,
    state TEXT NOT NULL,
    device_count INTEGER NULL,
    stored_count INTEGER NULL,
    detail TEXT NOT NULL,
    found_at TEXT NOT NULL,
    changed_at TEXT NOT NULL,
    PRIMARY KEY (device_id, begins_at)
);
