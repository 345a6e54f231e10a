-- How an enrolled terminal is reached. A table of its own, because MySQL 5.7 cannot add a
-- column that may be there already, and every statement here must be able to run again.

-- secret_file is the name of a file, never what it holds; token_hash is the BLAKE3 of the token
-- in the terminal's settings, never the token.
CREATE TABLE IF NOT EXISTS access (
    device_id BINARY(16) NOT NULL PRIMARY KEY,
    address VARCHAR(255) NULL,
    user_name VARCHAR(64) NULL,
    secret_file VARCHAR(255) NULL,
    token_hash BINARY(32) NULL,
    mac CHAR(17) NULL,
    KEY access_token (token_hash)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
