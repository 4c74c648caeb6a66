-- A world holds a clock, a seed, rules and accounts; see service/worlds.py. By default there is one.
-- The clock is that of core/clock.py; rate 1 and bases 0 run with the machine's.
CREATE TABLE worlds (
    id TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    seed TEXT NOT NULL,
    real_base_ms INTEGER NOT NULL,
    virtual_base_ms INTEGER NOT NULL,
    rate REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- Rules in their order. `seen` counts the calls that fitted all but the counted conditions, `used`
-- the calls that the rule decided.
CREATE TABLE rules (
    number INTEGER PRIMARY KEY,
    world TEXT NOT NULL,
    id TEXT NOT NULL,
    document TEXT NOT NULL,
    seen INTEGER NOT NULL,
    used INTEGER NOT NULL,
    UNIQUE (world, id)
) STRICT;

-- How often an account had this body accepted; ids are derived from it.
CREATE TABLE contents (
    account_id TEXT NOT NULL,
    content BLOB NOT NULL,
    accepted INTEGER NOT NULL,
    PRIMARY KEY (account_id, content)
) STRICT, WITHOUT ROWID;

-- Token buckets of accounts that have a rate limit.
CREATE TABLE buckets (
    account_id TEXT PRIMARY KEY,
    tokens REAL NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE accounts ADD COLUMN world TEXT NOT NULL DEFAULT 'default';
ALTER TABLE deliveries ADD COLUMN world TEXT NOT NULL DEFAULT 'default';
ALTER TABLE deliveries ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0;

DROP INDEX deliveries_due;
CREATE INDEX deliveries_due ON deliveries (world, due_ms) WHERE state IN ('scheduled', 'delivering');

-- Made anew and not altered: image_url has to stay the last column.
-- polls counts the status calls of a task that has faults planned for them.
CREATE TABLE tasks_with_world (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    world TEXT NOT NULL,
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
    effects TEXT,
    polls INTEGER NOT NULL DEFAULT 0,
    limited INTEGER NOT NULL DEFAULT 0,
    callback_url TEXT,
    image_url TEXT NOT NULL
) STRICT;

INSERT INTO tasks_with_world (number, id, world, account_id, resolution, output_format,
    request_type, scenario, created_ms, starts_ms, ends_ms, fail_code, fail_msg, settled,
    callback_url, image_url)
SELECT number, id, 'default', account_id, resolution, output_format,
    request_type, scenario, created_ms, starts_ms, ends_ms, fail_code, fail_msg, settled,
    callback_url, image_url
FROM tasks;

DROP TABLE tasks;
ALTER TABLE tasks_with_world RENAME TO tasks;

CREATE INDEX tasks_unsettled ON tasks (number) WHERE settled = 0;
-- Only tasks of accounts with a concurrency limit are counted.
CREATE INDEX tasks_limited ON tasks (account_id, ends_ms) WHERE limited = 1;

-- Calls of processes that share the store; one that is alone keeps them in memory.
CREATE TABLE journal (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    world TEXT NOT NULL,
    entry TEXT NOT NULL
) STRICT;

CREATE INDEX journal_of_world ON journal (world, number);
