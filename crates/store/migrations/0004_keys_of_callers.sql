-- What sessions and tokens sign with. A session without a key would be one that can change nothing: those there are begin
-- anew.

DELETE FROM sessions;
ALTER TABLE sessions ADD COLUMN spki BYTEA;
-- The passkey that it began with; none for one that a provider vouched for.
ALTER TABLE sessions ADD COLUMN credential_id BYTEA;

-- None: it only reads.
ALTER TABLE tokens ADD COLUMN spki BYTEA;
