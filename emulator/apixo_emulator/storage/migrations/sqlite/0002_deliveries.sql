-- One delivery a task in callback mode; see core/deliveries.py for its states.
-- lease_until_ms is on the machine's clock, not the emulator's: a lease guards a living process.
CREATE TABLE deliveries (
    number INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL UNIQUE REFERENCES tasks (id),
    url TEXT NOT NULL,
    origin TEXT NOT NULL,
    base_url TEXT NOT NULL,
    depth INTEGER NOT NULL,
    state TEXT NOT NULL,
    due_ms INTEGER,
    attempts INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    lease_owner TEXT,
    lease_until_ms INTEGER
) STRICT;

CREATE INDEX deliveries_due ON deliveries (due_ms) WHERE state IN ('scheduled', 'delivering');

CREATE TABLE attempts (
    task_id TEXT NOT NULL REFERENCES deliveries (task_id),
    number INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status INTEGER,
    excerpt TEXT NOT NULL,
    error TEXT,
    PRIMARY KEY (task_id, number)
) STRICT, WITHOUT ROWID;
