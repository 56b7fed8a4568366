-- From schema 3 to 4: jobs that several processes share.

ALTER TABLE jobs ADD COLUMN ranks INTEGER NOT NULL DEFAULT 1;
