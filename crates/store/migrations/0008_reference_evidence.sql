-- What later evidence is held against is what came first, until somebody accepts what came later.
ALTER TABLE attestations RENAME COLUMN first TO reference;
ALTER TABLE attestations RENAME COLUMN first_at TO reference_at;
