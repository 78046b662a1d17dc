-- The newest evidence may be of other firmware, which has another key. Whoever accepts it lets that key renew in place of the
-- member's newest certificate of that moment.
ALTER TABLE attestations RENAME COLUMN spki TO reference_spki;
ALTER TABLE attestations ADD COLUMN latest_spki BYTEA NOT NULL DEFAULT '';
ALTER TABLE attestations ADD COLUMN in_place_of BYTEA; -- serial number
UPDATE attestations SET latest_spki = reference_spki;
