-- Format 1 of the SQLite store. An index over `accepted_at` also orders by the row's id, which SQLite appends.

CREATE TABLE applications (
    id INTEGER PRIMARY KEY,         -- kind << 32 | number
    kind INTEGER NOT NULL,
    owner_user TEXT NOT NULL,
    owner_tenant TEXT NOT NULL,
    accepted_at INTEGER NOT NULL,   -- all instants in milliseconds since 1970
    name BLOB,                      -- keys for lookup; the texts stand in `spec`
    external_id BLOB,
    backend TEXT NOT NULL,
    shard TEXT NOT NULL,
    retry_of INTEGER,
    state TEXT NOT NULL,
    wish TEXT NOT NULL,
    version INTEGER NOT NULL,
    held_name BLOB,                 -- while nobody else may have the name
    queued_at INTEGER,              -- while it waits for its turn
    wake_at INTEGER,                -- while somebody must look at it at an instant
    retained_since INTEGER,         -- while retention counts it
    active INTEGER,                 -- 1 while a driver may exist
    status TEXT NOT NULL,
    spec TEXT NOT NULL
);

CREATE UNIQUE INDEX applications_by_held_name ON applications (held_name, kind) WHERE held_name IS NOT NULL;
CREATE INDEX applications_by_time ON applications (accepted_at);
CREATE INDEX applications_by_kind ON applications (kind, accepted_at);
CREATE INDEX applications_by_state ON applications (state, accepted_at);
CREATE INDEX applications_by_backend ON applications (backend, accepted_at);
CREATE INDEX applications_by_owner ON applications (owner_user, accepted_at);
CREATE INDEX applications_by_owner_and_id ON applications (owner_user);
CREATE INDEX applications_by_name ON applications (name, accepted_at) WHERE name IS NOT NULL;
CREATE INDEX applications_by_external_id ON applications (external_id, accepted_at) WHERE external_id IS NOT NULL;
CREATE INDEX applications_queued ON applications (shard, queued_at) WHERE queued_at IS NOT NULL;
CREATE INDEX applications_to_wake ON applications (shard, wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX applications_retained ON applications (shard, retained_since) WHERE retained_since IS NOT NULL;
CREATE INDEX applications_active ON applications (shard) WHERE active = 1;

CREATE TABLE labels (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    accepted_at INTEGER NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (key, value, accepted_at, id)
) WITHOUT ROWID;

CREATE TABLE keys (
    digest BLOB PRIMARY KEY,        -- of owner and idempotency key
    fingerprint BLOB NOT NULL,
    application INTEGER NOT NULL,
    spent_at INTEGER                -- when its application was removed
) WITHOUT ROWID;
CREATE INDEX keys_by_application ON keys (application);
CREATE INDEX keys_spent ON keys (spent_at) WHERE spent_at IS NOT NULL;

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    body TEXT NOT NULL
);

CREATE TABLE leases (
    shard TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    holder TEXT,                    -- null after it was given up
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE counters (
    name TEXT PRIMARY KEY,          -- of a kind: the next number; of events: the newest id
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO counters (name, value) VALUES ('batch', 0), ('server', 0), ('events', 0);

CREATE TABLE tallies (
    scope TEXT NOT NULL,
    block INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (scope, block)
) WITHOUT ROWID;
