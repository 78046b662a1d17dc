-- The newest evidence may be of other firmware, which has another key, and which nobody accepted yet.
ALTER TABLE attestations RENAME COLUMN spki TO reference_spki;
ALTER TABLE attestations ADD COLUMN latest_spki BYTEA NOT NULL DEFAULT '';
UPDATE attestations SET latest_spki = reference_spki;
