CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Money is in millionths of a US dollar.
CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    granted_micros INTEGER NOT NULL,
    spent_micros INTEGER NOT NULL,
    accepted INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Instants are Unix milliseconds on the emulator's clock.
-- image_url stands last: it may be megabytes of inlined picture, and a read of the columns
-- before it does not touch its overflow pages.
CREATE TABLE tasks (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    resolution TEXT NOT NULL,
    output_format TEXT NOT NULL,
    request_type TEXT NOT NULL,
    scenario TEXT,
    created_ms INTEGER NOT NULL,
    starts_ms INTEGER NOT NULL,
    ends_ms INTEGER,
    fail_code TEXT,
    fail_msg TEXT,
    settled INTEGER NOT NULL,
    callback_url TEXT,
    image_url TEXT NOT NULL
) STRICT;

CREATE INDEX tasks_unsettled ON tasks (number) WHERE settled = 0;
