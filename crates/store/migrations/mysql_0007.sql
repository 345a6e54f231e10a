-- Where each output's reading of the feed stands. It stands beside the events, so that a copy that
-- is put back takes both back together.
CREATE TABLE IF NOT EXISTS output_cursor (
    tenant VARCHAR(64) NOT NULL,
    name VARCHAR(64) NOT NULL,
    seq BIGINT NOT NULL,
    paused TINYINT NOT NULL,
    revive TINYINT NOT NULL,
    holder VARCHAR(64) NULL,
    held_until DATETIME(3) NULL,
    failing_since DATETIME(3) NULL,
    trouble VARCHAR(190) NULL,
    delivered BIGINT NOT NULL,
    delivered_at DATETIME(3) NULL,
    created_at DATETIME(3) NOT NULL,
    PRIMARY KEY (tenant, name)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Events that a receiver refused for good, or did not take in time: by number, never a copy.
CREATE TABLE IF NOT EXISTS output_letter (
    tenant VARCHAR(64) NOT NULL,
    name VARCHAR(64) NOT NULL,
    seq BIGINT NOT NULL,
    event_uid CHAR(64) NOT NULL,
    reason VARCHAR(190) NOT NULL,
    dead_at DATETIME(3) NOT NULL,
    settled_at DATETIME(3) NULL,
    PRIMARY KEY (tenant, name, seq)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
