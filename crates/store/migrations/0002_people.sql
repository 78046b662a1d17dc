-- People, groups, and who may do what. A person's name is here and nowhere else: the audit log has the id.

CREATE TABLE users (
    tenant  TEXT   NOT NULL REFERENCES tenants (name),
    id      TEXT   NOT NULL,
    name    TEXT   NOT NULL,
    roles   TEXT   NOT NULL, -- with spaces between them
    created BIGINT NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, name)
);

CREATE TABLE group_members (
    tenant     TEXT NOT NULL REFERENCES tenants (name),
    group_name TEXT NOT NULL,
    kind       TEXT NOT NULL, -- user, device or group
    member     TEXT NOT NULL,
    PRIMARY KEY (tenant, group_name, kind, member)
);

-- Never changed: a rollback is a new version with old files.
CREATE TABLE policy_versions (
    tenant  TEXT   NOT NULL REFERENCES tenants (name),
    version BIGINT NOT NULL,
    author  TEXT   NOT NULL, -- as the audit log names them
    note    TEXT   NOT NULL,
    files   TEXT   NOT NULL, -- JSON: name and text of each
    created BIGINT NOT NULL,
    PRIMARY KEY (tenant, version)
);

-- The user who made a token; none: the operator.
ALTER TABLE tokens ADD COLUMN user_id TEXT;
