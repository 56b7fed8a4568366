-- From schema 2 to 3: small documents of parts that keep their state as one text.

CREATE TABLE documents (
    name TEXT PRIMARY KEY,
    body TEXT NOT NULL
) WITHOUT ROWID;
