-- Format 1 of the PostgreSQL store.

CREATE TABLE applications (
    id BIGINT PRIMARY KEY,          -- kind << 32 | number
    kind BIGINT NOT NULL,
    owner_user TEXT NOT NULL,
    owner_tenant TEXT NOT NULL,
    accepted_at BIGINT NOT NULL,    -- all instants in milliseconds since 1970
    name BYTEA,                     -- keys for lookup; the texts stand in `spec`
    external_id BYTEA,
    backend TEXT NOT NULL,
    shard TEXT NOT NULL,
    retry_of BIGINT,
    state TEXT NOT NULL,
    wish TEXT NOT NULL,
    version BIGINT NOT NULL,
    held_name BYTEA,                -- while nobody else may have the name
    queued_at BIGINT,               -- while it waits for its turn
    wake_at BIGINT,                 -- while somebody must look at it at an instant
    retained_since BIGINT,          -- while retention counts it
    active BIGINT,                  -- 1 while a driver may exist
    status TEXT NOT NULL,
    spec TEXT NOT NULL
);

CREATE UNIQUE INDEX applications_by_held_name ON applications (held_name, kind) WHERE held_name IS NOT NULL;
CREATE INDEX applications_by_time ON applications (accepted_at, id);
CREATE INDEX applications_by_kind ON applications (kind, accepted_at, id);
CREATE INDEX applications_by_state ON applications (state, accepted_at, id);
CREATE INDEX applications_by_backend ON applications (backend, accepted_at, id);
CREATE INDEX applications_by_owner ON applications (owner_user, accepted_at, id);
CREATE INDEX applications_by_owner_and_id ON applications (owner_user, id);
CREATE INDEX applications_by_name ON applications (name, accepted_at, id) WHERE name IS NOT NULL;
CREATE INDEX applications_by_external_id ON applications (external_id, accepted_at, id) WHERE external_id IS NOT NULL;
CREATE INDEX applications_queued ON applications (shard, queued_at, id) WHERE queued_at IS NOT NULL;
CREATE INDEX applications_to_wake ON applications (shard, wake_at, id) WHERE wake_at IS NOT NULL;
CREATE INDEX applications_retained ON applications (shard, retained_since, id) WHERE retained_since IS NOT NULL;
CREATE INDEX applications_active ON applications (shard, id) WHERE active = 1;

CREATE TABLE labels (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    accepted_at BIGINT NOT NULL,
    id BIGINT NOT NULL,
    PRIMARY KEY (key, value, accepted_at, id)
);

CREATE TABLE keys (
    digest BYTEA PRIMARY KEY,       -- of owner and idempotency key
    fingerprint BYTEA NOT NULL,
    application BIGINT NOT NULL,
    spent_at BIGINT                 -- when its application was removed
);
CREATE INDEX keys_by_application ON keys (application);
CREATE INDEX keys_spent ON keys (spent_at) WHERE spent_at IS NOT NULL;

CREATE TABLE events (
    id BIGINT PRIMARY KEY,
    body TEXT NOT NULL
);

CREATE TABLE leases (
    shard TEXT PRIMARY KEY,
    epoch BIGINT NOT NULL,
    holder TEXT,                    -- null after it was given up
    expires_at BIGINT NOT NULL
);

CREATE TABLE counters (
    name TEXT PRIMARY KEY,          -- of a kind: the next number; of events: the newest id
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('batch', 0), ('server', 0), ('events', 0);

CREATE TABLE tallies (
    scope TEXT NOT NULL,
    block BIGINT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (scope, block)
);
