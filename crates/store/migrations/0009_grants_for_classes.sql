-- A grant is for a device or for a class, which is a group of devices: device/<name> or class/<name>.
ALTER TABLE grants RENAME COLUMN device TO audience;
UPDATE grants SET audience = 'device/' || audience;
DROP INDEX grants_by_device;
CREATE INDEX grants_by_audience ON grants (tenant, audience, epoch);

ALTER TABLE grant_epochs RENAME COLUMN device TO audience;
UPDATE grant_epochs SET audience = 'device/' || audience;
