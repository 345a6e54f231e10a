-- How an enrolled terminal is reached: the twin of the MySQL schema.

-- secret_file is the name of a file, never what it holds; token_hash is the BLAKE3 of the token
-- in the terminal's settings, never the token.
CREATE TABLE access (
    device_id BLOB NOT NULL PRIMARY KEY,
    address TEXT NULL,
    user_name TEXT NULL,
    secret_file TEXT NULL,
    token_hash BLOB NULL,
    mac TEXT NULL
);

CREATE INDEX access_token ON access (token_hash);
