-- A world begins a new epoch at each reset. Rows belong to an epoch, so a reset is one small write,
-- and the rows of ended epochs are deleted a few at a time afterwards. There are no foreign keys:
-- rows that belong together are written in one transaction, and deleted by epoch.
CREATE TABLE epochs (
    epoch BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    world TEXT NOT NULL,
    ended_ms BIGINT
);

ALTER TABLE worlds ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
-- Rules that were ever added in the epoch, which numbers the next one; and those that there are now.
ALTER TABLE worlds ADD COLUMN rules_added BIGINT NOT NULL DEFAULT 0;
ALTER TABLE worlds ADD COLUMN rules BIGINT NOT NULL DEFAULT 0;

INSERT INTO worlds (id, label, seed, real_base_ms, virtual_base_ms, rate)
SELECT 'default', 'default', value, 0, 0, 1.0 FROM settings WHERE name = 'seed'
ON CONFLICT DO NOTHING;
INSERT INTO epochs (world) SELECT id FROM worlds ORDER BY id;
UPDATE worlds SET epoch = (SELECT epoch FROM epochs WHERE world = worlds.id);
CREATE UNIQUE INDEX worlds_epoch ON worlds (epoch);

ALTER TABLE attempts DROP CONSTRAINT attempts_task_id_fkey;
ALTER TABLE deliveries DROP CONSTRAINT deliveries_task_id_fkey;
ALTER TABLE tasks DROP CONSTRAINT tasks_account_id_fkey;

-- tokens and tokens_at_ms are the bucket of the rate limit; NULL until a call was counted.
ALTER TABLE accounts
    ADD COLUMN epoch BIGINT,
    ADD COLUMN callbacks BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN tokens DOUBLE PRECISION,
    ADD COLUMN tokens_at_ms BIGINT,
    DROP CONSTRAINT accounts_pkey;
UPDATE accounts SET epoch = worlds.epoch FROM worlds WHERE worlds.id = accounts.world;
UPDATE accounts SET callbacks = (SELECT count(*) FROM deliveries JOIN tasks ON tasks.id = task_id
    WHERE tasks.account_id = accounts.id);
ALTER TABLE accounts DROP COLUMN world, ADD PRIMARY KEY (epoch, id);
DROP TABLE buckets;

-- refunded says that the account has got back what a failed task has cost.
ALTER TABLE tasks
    ADD COLUMN epoch BIGINT,
    ADD COLUMN refunded BIGINT NOT NULL DEFAULT 0,
    DROP CONSTRAINT tasks_id_key;
UPDATE tasks SET epoch = worlds.epoch FROM worlds WHERE worlds.id = tasks.world;
ALTER TABLE tasks DROP COLUMN world, ALTER COLUMN epoch SET NOT NULL, ADD UNIQUE (id, epoch);
DROP INDEX tasks_limited;
CREATE INDEX tasks_ends ON tasks (epoch, ends_ms, starts_ms);
-- Of accounts with a concurrency limit.
CREATE INDEX tasks_limited ON tasks (epoch, account_id, ends_ms) WHERE limited = 1;
CREATE INDEX tasks_failing ON tasks (epoch, refunded, account_id, ends_ms)
WHERE fail_code IS NOT NULL;

ALTER TABLE deliveries ADD COLUMN epoch BIGINT, DROP CONSTRAINT deliveries_task_id_key;
UPDATE deliveries SET epoch = worlds.epoch FROM worlds WHERE worlds.id = deliveries.world;
ALTER TABLE deliveries DROP COLUMN world, ALTER COLUMN epoch SET NOT NULL,
    ADD UNIQUE (task_id, epoch);
CREATE INDEX deliveries_due ON deliveries (epoch, due_ms)
WHERE state IN ('scheduled', 'delivering');
CREATE INDEX deliveries_state ON deliveries (epoch, state);

ALTER TABLE attempts ADD COLUMN epoch BIGINT, DROP CONSTRAINT attempts_pkey;
UPDATE attempts SET epoch = deliveries.epoch FROM deliveries
WHERE deliveries.task_id = attempts.task_id;
ALTER TABLE attempts ADD PRIMARY KEY (epoch, task_id, number);

-- accepted counts the tasks of an account with this body, from which ids are derived; 0 or absent
-- stands for at most one. asked counts its submits, from which draws of probabilities are derived.
ALTER TABLE contents ADD COLUMN epoch BIGINT, ADD COLUMN asked BIGINT NOT NULL DEFAULT 0,
    DROP CONSTRAINT contents_pkey;
UPDATE contents SET epoch = accounts.epoch FROM accounts WHERE accounts.id = contents.account_id;
ALTER TABLE contents ADD PRIMARY KEY (epoch, account_id, content);

-- Rules in the order of their numbers; those of the scenario file have the highest.
DELETE FROM rules WHERE id LIKE 'file-%';
ALTER TABLE rules ADD COLUMN epoch BIGINT, DROP CONSTRAINT rules_pkey,
    DROP CONSTRAINT rules_world_id_key, ALTER COLUMN number DROP IDENTITY;
UPDATE rules SET epoch = worlds.epoch FROM worlds WHERE worlds.id = rules.world;
ALTER TABLE rules DROP COLUMN world, ADD PRIMARY KEY (epoch, id);
UPDATE worlds SET rules = (SELECT count(*) FROM rules WHERE rules.epoch = worlds.epoch);
UPDATE worlds SET rules_added = (SELECT coalesce(max(substr(id, 6)::bigint), 0)
    FROM rules WHERE rules.epoch = worlds.epoch);

-- Calls of processes that share the store, by channel: the epoch of a world, or a name of its own.
-- number is NULL until somebody reads: then entries are numbered in the order of at_us.
DROP TABLE journal;
CREATE TABLE journal (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel TEXT NOT NULL,
    number BIGINT,
    at_us BIGINT NOT NULL,
    entry TEXT NOT NULL
);
CREATE INDEX journal_numbered ON journal (channel, number);
-- The last number that was given out in each channel.
CREATE TABLE journals (channel TEXT PRIMARY KEY, last BIGINT NOT NULL);
