-- Things of a gateway's radios have no key of their own: the gateway keeps one for each. It may let new ones in for a while.
ALTER TABLE principals ADD COLUMN keeper TEXT; -- the gateway that has its key
CREATE INDEX principals_by_keeper ON principals (tenant, keeper) WHERE keeper IS NOT NULL;

CREATE TABLE admissions (
    tenant  TEXT   NOT NULL REFERENCES tenants (name),
    gateway TEXT   NOT NULL,
    radio   TEXT,            -- only this one of its radios; none: all of them
    until   BIGINT NOT NULL,
    PRIMARY KEY (tenant, gateway)
);
