-- Accounts with the least rights that each of them needs, for MySQL 5.7 or MariaDB 10.4 and later.
-- Put your own passwords and hosts in, then:  mariadb < grants.sql

CREATE DATABASE IF NOT EXISTS satellite CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Makes and updates the tables (satellite db migrate) and restores (satellite restore). The running
-- service does not use it. DROP, because MySQL asks for it where a view is replaced, and for tables that
-- a restore replaces.
CREATE USER IF NOT EXISTS satellite_admin@'127.0.0.1' IDENTIFIED BY 'change-me';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, CREATE VIEW, SHOW VIEW
  ON satellite.* TO satellite_admin@'127.0.0.1';

-- The running service and its commands: writes events, and can neither delete one nor change a table.
CREATE USER IF NOT EXISTS satellite@'127.0.0.1' IDENTIFIED BY 'change-me';
GRANT SELECT, INSERT, UPDATE ON satellite.* TO satellite@'127.0.0.1';

-- Whoever reads the events: payroll, boards. Run these lines again after the first migration; a
-- right on a view can be given only when the view is there.
CREATE USER IF NOT EXISTS payroll@'127.0.0.1' IDENTIFIED BY 'change-me';
GRANT SELECT ON satellite.event_feed TO payroll@'127.0.0.1';

-- Sentinel: three views and nothing else.
CREATE USER IF NOT EXISTS sentinel@'127.0.0.1' IDENTIFIED BY 'change-me';
GRANT SELECT ON satellite.event_feed TO sentinel@'127.0.0.1';
GRANT SELECT ON satellite.canary_feed TO sentinel@'127.0.0.1';
GRANT SELECT ON satellite.device_status TO sentinel@'127.0.0.1';

-- Copies (satellite backup): reads everything and changes nothing.
CREATE USER IF NOT EXISTS satellite_backup@'127.0.0.1' IDENTIFIED BY 'change-me';
GRANT SELECT, SHOW VIEW ON satellite.* TO satellite_backup@'127.0.0.1';

-- Only where the binary log is shipped (backup.binary_log, MariaDB 10.5 and later). Take the two dashes
-- away. The log is that of the whole server: who may read it sees the changes of every database on it.
-- Who restores has to replay it.
-- GRANT REPLICATION SLAVE ON *.* TO satellite_backup@'127.0.0.1';
-- GRANT BINLOG REPLAY ON *.* TO satellite_admin@'127.0.0.1';

-- Upkeep from satellite-upkeep.timer: deletes old canary events (satellite db maintain), and empties
-- what retention archived (satellite db retention), which leaves the rows. Rights on tables: run these
-- lines again after the first migration. UPDATE on feed_head is what its lock asks for.
CREATE USER IF NOT EXISTS satellite_upkeep@'127.0.0.1' IDENTIFIED BY 'change-me';
GRANT SELECT ON satellite.* TO satellite_upkeep@'127.0.0.1';
GRANT DELETE, UPDATE (person, card, attributes, raw, timeliness)
  ON satellite.event TO satellite_upkeep@'127.0.0.1';
GRANT UPDATE (detail, raw) ON satellite.quarantine TO satellite_upkeep@'127.0.0.1';
GRANT INSERT ON satellite.audit TO satellite_upkeep@'127.0.0.1';
GRANT UPDATE ON satellite.feed_head TO satellite_upkeep@'127.0.0.1';
