-- Members that speak CoAP with the service agree on secrets with a raw key, which was shown with a certificate or a claim.
CREATE TABLE raw_keys (
    raw_key BYTEA NOT NULL PRIMARY KEY, -- x-coordinate of a point on P-256
    tenant  TEXT  NOT NULL,
    name    TEXT  NOT NULL,
    serial  BYTEA NOT NULL,             -- of the certificate
    UNIQUE (tenant, name),
    FOREIGN KEY (tenant, name, serial) REFERENCES principal_keys (tenant, principal, serial)
);
