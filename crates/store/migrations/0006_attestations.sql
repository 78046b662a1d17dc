-- What members proved of themselves: the first evidence of a key, and the newest. Both are tokens that were verified.
CREATE TABLE attestations (
    tenant    TEXT   NOT NULL REFERENCES tenants (name),
    name      TEXT   NOT NULL,
    spki      BYTEA  NOT NULL, -- of the key that signed both
    first     BYTEA  NOT NULL,
    first_at  BIGINT NOT NULL,
    latest    BYTEA  NOT NULL,
    latest_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);
