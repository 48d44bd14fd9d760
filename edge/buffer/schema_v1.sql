-- Four tables of one shape: three streams and the memo. `seq` is the rowid, so a stream grows at the right edge only.
-- Row 0 of each table is its title: key = the epoch, body = the counters (rows.Title). `crc` proves a row (rows.proof).
CREATE TABLE vital     (seq INTEGER PRIMARY KEY, key TEXT NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE state     (seq INTEGER PRIMARY KEY, key TEXT NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE telemetry (seq INTEGER PRIMARY KEY, key TEXT NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE memo      (seq INTEGER PRIMARY KEY, key TEXT NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
