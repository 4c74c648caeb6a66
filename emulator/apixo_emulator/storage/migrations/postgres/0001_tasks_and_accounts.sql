CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- BYTEA columns hold text of callers and receivers in UTF-8: unlike TEXT they keep a NUL character,
-- and they do not depend on the database's encoding. Read them with convert_from(…, 'UTF8').
-- Money is in millionths of a US dollar.
CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    label BYTEA NOT NULL,
    granted_micros BIGINT NOT NULL,
    spent_micros BIGINT NOT NULL,
    accepted BIGINT NOT NULL
);

-- Instants are Unix milliseconds on the emulator's clock.
CREATE TABLE tasks (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    resolution TEXT NOT NULL,
    output_format TEXT NOT NULL,
    request_type TEXT NOT NULL,
    scenario TEXT,
    created_ms BIGINT NOT NULL,
    starts_ms BIGINT NOT NULL,
    ends_ms BIGINT,
    fail_code TEXT,
    fail_msg TEXT,
    settled BOOLEAN NOT NULL,
    callback_url BYTEA,
    image_url BYTEA NOT NULL
);

CREATE INDEX tasks_unsettled ON tasks (number) WHERE NOT settled;
