-- Who is who. Only what SQLite and PostgreSQL both take: TEXT, BIGINT, BYTEA, no functions.
-- Times are microseconds since 1970-01-01T00:00:00Z.

CREATE TABLE tenants (
    name                TEXT   NOT NULL PRIMARY KEY,
    created             BIGINT NOT NULL,
    customer_key        TEXT   NOT NULL, -- reference to the key that wraps the tenant keys
    customer_public_key BYTEA,           -- what devices seal for, when the customer keeps streams to themselves
    withdrawn           BIGINT           -- when the customer took the key away
);

CREATE TABLE tenant_keys (
    id          BYTEA  NOT NULL PRIMARY KEY,
    tenant      TEXT   NOT NULL REFERENCES tenants (name),
    position    BIGINT NOT NULL, -- 0 is the oldest
    tenant_key  BYTEA  NOT NULL, -- boxed under the customer key
    parquet_kek BYTEA  NOT NULL, -- boxed under the customer key
    created     BIGINT NOT NULL,
    UNIQUE (tenant, position)
);

CREATE TABLE principals (
    tenant       TEXT   NOT NULL REFERENCES tenants (name),
    name         TEXT   NOT NULL,
    role         TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    maker        TEXT,            -- what the tenant calls it
    maker_key    BYTEA,           -- SHA-256 of the public key that signed its certificate
    maker_serial TEXT,
    created      BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);

-- A thing belongs to one tenant at a time; after its release another one can take it.
CREATE UNIQUE INDEX principals_by_serial ON principals (maker_key, maker_serial) WHERE state <> 'released';

-- Kept for ever: old readings were signed with old keys.
CREATE TABLE principal_keys (
    tenant        TEXT   NOT NULL,
    principal     TEXT   NOT NULL,
    key_id        BYTEA  NOT NULL, -- first 8 bytes of SHA-256 of spki
    spki          BYTEA  NOT NULL,
    serial        BYTEA  NOT NULL,
    not_before    BIGINT NOT NULL,
    not_after     BIGINT NOT NULL,
    revoked       BIGINT,
    revoke_reason TEXT,
    PRIMARY KEY (tenant, principal, serial),
    FOREIGN KEY (tenant, principal) REFERENCES principals (tenant, name)
);

CREATE INDEX principal_keys_by_id ON principal_keys (tenant, principal, key_id);

CREATE TABLE claim_codes (
    code_hash BYTEA  NOT NULL PRIMARY KEY, -- SHA-256; the code itself is kept nowhere
    tenant    TEXT   NOT NULL REFERENCES tenants (name),
    role      TEXT   NOT NULL,
    name      TEXT   NOT NULL,
    expires   BIGINT NOT NULL,
    used      BIGINT
);

CREATE TABLE makers (
    tenant TEXT NOT NULL REFERENCES tenants (name),
    name   TEXT NOT NULL,
    admit  TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE maker_certificates (
    tenant   TEXT   NOT NULL,
    maker    TEXT   NOT NULL,
    position BIGINT NOT NULL,
    der      BYTEA  NOT NULL,
    PRIMARY KEY (tenant, maker, position),
    FOREIGN KEY (tenant, maker) REFERENCES makers (tenant, name) ON DELETE CASCADE
);

CREATE TABLE expected_serials (
    tenant TEXT NOT NULL,
    maker  TEXT NOT NULL,
    serial TEXT NOT NULL,
    name   TEXT,          -- what the thing will be called
    PRIMARY KEY (tenant, maker, serial),
    FOREIGN KEY (tenant, maker) REFERENCES makers (tenant, name) ON DELETE CASCADE
);

CREATE TABLE certificates (
    serial     BYTEA  NOT NULL PRIMARY KEY,
    tenant     TEXT   NOT NULL,
    role       TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    not_before BIGINT NOT NULL,
    not_after  BIGINT NOT NULL
);

CREATE INDEX certificates_by_principal ON certificates (tenant, name);

CREATE TABLE revocations (
    serial BYTEA  NOT NULL PRIMARY KEY,
    time   BIGINT NOT NULL,
    reason TEXT   NOT NULL
);

CREATE TABLE counters (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE tokens (
    id         TEXT   NOT NULL PRIMARY KEY,
    token_hash BYTEA  NOT NULL UNIQUE, -- SHA-256; the token itself is kept nowhere
    tenant     TEXT   REFERENCES tenants (name), -- none: all tenants
    parent     TEXT   REFERENCES tokens (id),    -- the token that made it; none: the operator
    scopes     TEXT   NOT NULL,
    created    BIGINT NOT NULL,
    expires    BIGINT NOT NULL,
    revoked    BIGINT
);

CREATE INDEX tokens_by_parent ON tokens (parent);

CREATE TABLE metadata (
    name  TEXT  NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);
