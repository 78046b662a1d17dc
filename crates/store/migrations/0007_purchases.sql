-- What a device costs for whoever stands before it.
CREATE TABLE offers (
    tenant   TEXT   NOT NULL REFERENCES tenants (name),
    device   TEXT   NOT NULL,
    start    TEXT   NOT NULL, -- the action that begins what is paid for, so long as its input says
    finish   TEXT   NOT NULL, -- the action that gives the rest back
    amount   BIGINT NOT NULL, -- in the smallest unit of the currency, for `per` units of the input
    currency TEXT   NOT NULL,
    per      BIGINT NOT NULL,
    most     BIGINT NOT NULL, -- units that are sold at once
    notice   TEXT   NOT NULL, -- what a buyer has to know
    set_at   BIGINT NOT NULL,
    set_by   TEXT   NOT NULL, -- as the audit log names them; it sells what they may grant
    PRIMARY KEY (tenant, device)
);

-- Who bought what. The grant of a purchase has its id.
CREATE TABLE purchases (
    tenant   TEXT    NOT NULL REFERENCES tenants (name),
    id       TEXT    NOT NULL, -- 16 hexadecimal digits
    device   TEXT    NOT NULL,
    holder   BYTEA   NOT NULL,
    start    TEXT    NOT NULL,
    finish   TEXT    NOT NULL,
    quantity BIGINT  NOT NULL,
    seconds  BIGINT  NOT NULL, -- how long that is
    amount   BIGINT  NOT NULL,
    currency TEXT    NOT NULL,
    state    TEXT    NOT NULL, -- reserved, paid, active, ended or disputed
    payment  TEXT,             -- as the provider names it
    checkout TEXT,             -- the provider's page
    made     BIGINT  NOT NULL,
    until    BIGINT  NOT NULL, -- of the reservation, then of the grant
    owed     BIGINT  NOT NULL, -- what goes back
    refunded BIGINT  NOT NULL, -- what went back
    settled  BOOLEAN NOT NULL, -- nothing is left to do
    started  BIGINT,           -- by the device's clock
    news     BIGINT  NOT NULL, -- how often the provider has said something since the payment was looked at
    PRIMARY KEY (tenant, id)
);

CREATE INDEX purchases_by_device ON purchases (tenant, device, state);
CREATE INDEX purchases_to_do ON purchases (made) WHERE NOT settled OR news > 0;
CREATE UNIQUE INDEX purchases_by_payment ON purchases (payment);
