-- A world holds a clock, a seed, rules and accounts; see service/worlds.py. By default there is one.
-- The clock is that of core/clock.py; rate 1 and bases 0 run with the machine's.
CREATE TABLE worlds (
    id TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    seed TEXT NOT NULL,
    real_base_ms BIGINT NOT NULL,
    virtual_base_ms BIGINT NOT NULL,
    rate DOUBLE PRECISION NOT NULL
);

-- Rules in their order. `seen` counts the calls that fitted all but the counted conditions, `used`
-- the calls that the rule decided.
CREATE TABLE rules (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    world TEXT NOT NULL,
    id TEXT NOT NULL,
    document TEXT NOT NULL,
    seen BIGINT NOT NULL,
    used BIGINT NOT NULL,
    UNIQUE (world, id)
);

-- How often an account had this body accepted; ids are derived from it.
CREATE TABLE contents (
    account_id TEXT NOT NULL,
    content BYTEA NOT NULL,
    accepted BIGINT NOT NULL,
    PRIMARY KEY (account_id, content)
);

-- Token buckets of accounts that have a rate limit.
CREATE TABLE buckets (
    account_id TEXT PRIMARY KEY,
    tokens DOUBLE PRECISION NOT NULL,
    at_ms BIGINT NOT NULL
);

ALTER TABLE accounts ADD COLUMN world TEXT NOT NULL DEFAULT 'default';
ALTER TABLE deliveries ADD COLUMN world TEXT NOT NULL DEFAULT 'default';
ALTER TABLE deliveries ADD COLUMN accepted BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN world TEXT NOT NULL DEFAULT 'default';
ALTER TABLE tasks ADD COLUMN effects TEXT;
-- How many status calls were made of a task that has faults planned for them.
ALTER TABLE tasks ADD COLUMN polls BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN limited BIGINT NOT NULL DEFAULT 0;

DROP INDEX deliveries_due;
CREATE INDEX deliveries_due ON deliveries (world, due_ms) WHERE state IN ('scheduled', 'delivering');
-- Only tasks of accounts with a concurrency limit are counted.
CREATE INDEX tasks_limited ON tasks (account_id, ends_ms) WHERE limited = 1;

-- Calls of processes that share the store; one that is alone keeps them in memory.
CREATE TABLE journal (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    world TEXT NOT NULL,
    entry TEXT NOT NULL
);

CREATE INDEX journal_of_world ON journal (world, number);
