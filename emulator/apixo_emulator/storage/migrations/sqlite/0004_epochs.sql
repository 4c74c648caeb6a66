-- A world begins a new epoch at each reset. Rows belong to an epoch, so a reset is one small write,
-- and the rows of ended epochs are deleted a few at a time afterwards.
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY AUTOINCREMENT,
    world TEXT NOT NULL,
    ended_ms INTEGER
) STRICT;

ALTER TABLE worlds ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
-- Rules that were ever added in the epoch, which numbers the next one; and those that there are now.
ALTER TABLE worlds ADD COLUMN rules_added INTEGER NOT NULL DEFAULT 0;
ALTER TABLE worlds ADD COLUMN rules INTEGER NOT NULL DEFAULT 0;

INSERT OR IGNORE INTO worlds (id, label, seed, real_base_ms, virtual_base_ms, rate)
SELECT 'default', 'default', value, 0, 0, 1.0 FROM settings WHERE name = 'seed';
INSERT INTO epochs (world) SELECT id FROM worlds ORDER BY id;
UPDATE worlds SET epoch = (SELECT epoch FROM epochs WHERE world = worlds.id);
CREATE UNIQUE INDEX worlds_epoch ON worlds (epoch);

-- tokens and tokens_at_ms are the bucket of the rate limit; NULL until a call was counted.
CREATE TABLE new_accounts (
    epoch INTEGER NOT NULL,
    id TEXT NOT NULL,
    label TEXT NOT NULL,
    granted_micros INTEGER NOT NULL,
    spent_micros INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    callbacks INTEGER NOT NULL,
    tokens REAL,
    tokens_at_ms INTEGER,
    PRIMARY KEY (epoch, id)
) STRICT;
INSERT INTO new_accounts (epoch, id, label, granted_micros, spent_micros, accepted, callbacks)
SELECT worlds.epoch, accounts.id, accounts.label, granted_micros, spent_micros, accepted,
    (SELECT count(*) FROM deliveries JOIN tasks ON tasks.id = task_id
     WHERE tasks.account_id = accounts.id)
FROM accounts JOIN worlds ON worlds.id = accounts.world;
DROP TABLE accounts;
ALTER TABLE new_accounts RENAME TO accounts;
DROP TABLE buckets;

-- image_url stands last: a read of the columns before it does not touch its overflow pages.
-- refunded says that the account has got back what a failed task has cost.
CREATE TABLE new_tasks (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    account_id TEXT NOT NULL,
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
    refunded INTEGER NOT NULL DEFAULT 0,
    callback_url TEXT,
    image_url TEXT NOT NULL,
    UNIQUE (id, epoch)
) STRICT;
INSERT INTO new_tasks (number, id, epoch, account_id, resolution, output_format, request_type,
    scenario, created_ms, starts_ms, ends_ms, fail_code, fail_msg, settled, effects, polls, limited,
    callback_url, image_url)
SELECT number, tasks.id, worlds.epoch, account_id, resolution, output_format, request_type,
    scenario, created_ms, starts_ms, ends_ms, fail_code, fail_msg, settled, effects, polls, limited,
    callback_url, image_url
FROM tasks JOIN worlds ON worlds.id = tasks.world;
DROP TABLE tasks;
ALTER TABLE new_tasks RENAME TO tasks;
CREATE INDEX tasks_ends ON tasks (epoch, ends_ms, starts_ms);
CREATE INDEX tasks_unsettled ON tasks (number) WHERE NOT settled;
-- Of accounts with a concurrency limit.
CREATE INDEX tasks_limited ON tasks (epoch, account_id, ends_ms) WHERE limited = 1;
CREATE INDEX tasks_failing ON tasks (epoch, refunded, account_id, ends_ms)
WHERE fail_code IS NOT NULL;

CREATE TABLE new_deliveries (
    number INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    url TEXT NOT NULL,
    origin TEXT NOT NULL,
    base_url TEXT NOT NULL,
    depth INTEGER NOT NULL,
    state TEXT NOT NULL,
    due_ms INTEGER,
    attempts INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    lease_owner TEXT,
    lease_until_ms INTEGER,
    UNIQUE (task_id, epoch)
) STRICT;
INSERT INTO new_deliveries (number, task_id, epoch, url, origin, base_url, depth, state, due_ms,
    attempts, tries, accepted, lease_owner, lease_until_ms)
SELECT number, task_id, worlds.epoch, url, origin, base_url, depth, state, due_ms,
    attempts, tries, accepted, lease_owner, lease_until_ms
FROM deliveries JOIN worlds ON worlds.id = deliveries.world;

CREATE TABLE new_attempts (
    epoch INTEGER NOT NULL,
    task_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status INTEGER,
    excerpt TEXT NOT NULL,
    error TEXT,
    PRIMARY KEY (epoch, task_id, number)
) STRICT;
INSERT INTO new_attempts SELECT epoch, attempts.* FROM attempts JOIN new_deliveries USING (task_id);
DROP TABLE attempts;
ALTER TABLE new_attempts RENAME TO attempts;
DROP TABLE deliveries;
ALTER TABLE new_deliveries RENAME TO deliveries;
CREATE INDEX deliveries_due ON deliveries (epoch, due_ms) WHERE state IN ('scheduled', 'delivering');
CREATE INDEX deliveries_state ON deliveries (epoch, state);

-- accepted counts the tasks of an account with this body, from which ids are derived; 0 or absent
-- stands for at most one. asked counts its submits, from which draws of probabilities are derived.
CREATE TABLE new_contents (
    epoch INTEGER NOT NULL,
    account_id TEXT NOT NULL,
    content BLOB NOT NULL,
    accepted INTEGER NOT NULL,
    asked INTEGER NOT NULL,
    PRIMARY KEY (epoch, account_id, content)
) STRICT;
INSERT INTO new_contents SELECT epoch, account_id, content, contents.accepted, 0
FROM contents JOIN accounts ON accounts.id = account_id;
DROP TABLE contents;
ALTER TABLE new_contents RENAME TO contents;

-- Rules in the order of their numbers; those of the scenario file have the highest.
CREATE TABLE new_rules (
    epoch INTEGER NOT NULL,
    number INTEGER NOT NULL,
    id TEXT NOT NULL,
    document TEXT NOT NULL,
    seen INTEGER NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (epoch, id)
) STRICT;
INSERT INTO new_rules SELECT epoch, number, rules.id, document, seen, used
FROM rules JOIN worlds ON worlds.id = rules.world WHERE rules.id NOT LIKE 'file-%';
DROP TABLE rules;
ALTER TABLE new_rules RENAME TO rules;
UPDATE worlds SET rules = (SELECT count(*) FROM rules WHERE rules.epoch = worlds.epoch);
UPDATE worlds SET rules_added = (SELECT coalesce(max(CAST(substr(id, 6) AS INTEGER)), 0)
    FROM rules WHERE rules.epoch = worlds.epoch);

-- Calls of processes that share the store, by channel: the epoch of a world, or a name of its own.
-- number is NULL until somebody reads: then entries are numbered in the order of at_us.
DROP TABLE journal;
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    number INTEGER,
    at_us INTEGER NOT NULL,
    entry TEXT NOT NULL
) STRICT;
CREATE INDEX journal_numbered ON journal (channel, number);
-- The last number that was given out in each channel.
CREATE TABLE journals (channel TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
