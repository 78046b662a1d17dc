-- Grants as they were issued. How often they were used is in the hot store, beside the log entries about it.
CREATE TABLE grants (
    tenant    TEXT   NOT NULL REFERENCES tenants (name),
    id        TEXT   NOT NULL, -- 16 hexadecimal digits
    device    TEXT   NOT NULL,
    bytes     BYTEA  NOT NULL,
    epoch     BIGINT NOT NULL, -- of the device when it was issued
    issued    BIGINT NOT NULL,
    issued_by TEXT   NOT NULL, -- as the audit log names them
    expires   BIGINT,
    revoked   BIGINT,
    ended_by  TEXT,            -- revocation, epoch or release, once it is revoked
    PRIMARY KEY (tenant, id)
);

CREATE INDEX grants_by_device ON grants (tenant, device, epoch);

-- What a device is to know of grants that were taken back. Stays when the device leaves: a name that comes back to the
-- tenant must not bring old grants back.
CREATE TABLE grant_epochs (
    tenant TEXT    NOT NULL REFERENCES tenants (name),
    device TEXT    NOT NULL,
    epoch  BIGINT  NOT NULL,
    told   BOOLEAN NOT NULL, -- whether the message about it waits for the device
    PRIMARY KEY (tenant, device)
);
