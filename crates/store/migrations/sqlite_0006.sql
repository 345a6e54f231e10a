-- How often a dialled terminal is visited: the twin of the MySQL schema.
CREATE TABLE IF NOT EXISTS schedule (
    device_id BLOB NOT NULL PRIMARY KEY,
    every_seconds INTEGER NULL
);
