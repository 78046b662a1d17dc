-- How people sign in. Nobody has a password; codes and sessions are kept as hashes.

CREATE TABLE passkeys (
    credential_id BYTEA  NOT NULL PRIMARY KEY,
    tenant        TEXT   NOT NULL,
    user_id       TEXT   NOT NULL,
    name          TEXT   NOT NULL, -- what its owner calls it
    spki          BYTEA  NOT NULL,
    created       BIGINT NOT NULL,
    used          BIGINT,
    FOREIGN KEY (tenant, user_id) REFERENCES users (tenant, id) ON DELETE CASCADE
);

CREATE INDEX passkeys_by_user ON passkeys (tenant, user_id);

-- Each works once. A newer one for the same person ends the older.
CREATE TABLE links (
    code_hash BYTEA  NOT NULL PRIMARY KEY, -- SHA-256
    tenant    TEXT   NOT NULL REFERENCES tenants (name),
    kind      TEXT   NOT NULL,             -- set-up, invite or recover
    user_id   TEXT,                        -- none: whoever opens it becomes the first administrator
    expires   BIGINT NOT NULL,
    FOREIGN KEY (tenant, user_id) REFERENCES users (tenant, id) ON DELETE CASCADE
);

CREATE INDEX links_by_user ON links (tenant, user_id);

CREATE TABLE sessions (
    id          TEXT   NOT NULL PRIMARY KEY,
    secret_hash BYTEA  NOT NULL UNIQUE, -- SHA-256
    tenant      TEXT   NOT NULL,
    user_id     TEXT   NOT NULL,
    way         TEXT   NOT NULL, -- passkey, link or oidc
    created     BIGINT NOT NULL,
    used        BIGINT NOT NULL, -- to within some minutes
    expires     BIGINT NOT NULL,
    FOREIGN KEY (tenant, user_id) REFERENCES users (tenant, id) ON DELETE CASCADE
);

CREATE INDEX sessions_by_user ON sessions (tenant, user_id);

-- Who a person is at a provider of sign-ins: the subject is the issuer's, whatever we call the provider.
CREATE TABLE identities (
    tenant  TEXT NOT NULL,
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (tenant, issuer, subject),
    FOREIGN KEY (tenant, user_id) REFERENCES users (tenant, id) ON DELETE CASCADE
);
