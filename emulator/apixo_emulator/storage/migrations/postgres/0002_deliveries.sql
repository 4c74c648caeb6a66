-- One delivery a task in callback mode; see core/deliveries.py for its states.
-- lease_until_ms is on the database's clock, not the emulator's: a lease guards a living process,
-- and the machines that share a database agree on no other clock.
CREATE TABLE deliveries (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id TEXT NOT NULL UNIQUE REFERENCES tasks (id),
    url BYTEA NOT NULL,
    origin BYTEA NOT NULL,
    base_url BYTEA NOT NULL,
    depth BIGINT NOT NULL,
    state TEXT NOT NULL,
    due_ms BIGINT,
    attempts BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    lease_owner TEXT,
    lease_until_ms BIGINT
);

CREATE INDEX deliveries_due ON deliveries (due_ms) WHERE state IN ('scheduled', 'delivering');

CREATE TABLE attempts (
    task_id TEXT NOT NULL REFERENCES deliveries (task_id),
    number BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    status BIGINT,
    excerpt BYTEA NOT NULL,
    error BYTEA,
    PRIMARY KEY (task_id, number)
);
