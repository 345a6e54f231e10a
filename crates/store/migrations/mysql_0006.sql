-- How often a dialled terminal is visited, where that is not left to satellite. A table of its
-- own, because MySQL 5.7 cannot add a column that may be there already.
CREATE TABLE IF NOT EXISTS schedule (
    device_id BINARY(16) NOT NULL PRIMARY KEY,
    every_seconds INT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
