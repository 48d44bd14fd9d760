"""Every SQL statement on the four tables. A table's name is one of four constants, never a value from outside."""

from typing import Final

from edge.buffer.rows import TABLES


class Statements:
    """The statements on one table."""

    def __init__(self, table: str) -> None:
        self.insert: Final = _on(table, "INSERT INTO {} (seq, key, crc, body) VALUES (?, ?, ?, ?)")
        self.put: Final = _on(table, "INSERT OR REPLACE INTO {} (seq, key, crc, body) VALUES (?, ?, ?, ?)")
        self.keep: Final = _on(table, "INSERT OR IGNORE INTO {} (seq, key, crc, body) VALUES (?, ?, ?, ?)")
        self.one: Final = _on(table, "SELECT seq, key, crc, body FROM {} WHERE seq = ?")
        self.page: Final = _on(table, "SELECT seq, key, crc, body FROM {} WHERE seq > ? ORDER BY seq")
        self.sizes: Final = _on(table, "SELECT seq, coalesce(length(body), 0) FROM {} WHERE seq > 0 ORDER BY seq")
        self.keys: Final = _on(table, "SELECT seq, key, coalesce(length(body), 0) FROM {} WHERE seq > 0 ORDER BY seq")
        self.newest_of_keys: Final = _on(table, "SELECT key, max(seq) FROM {} WHERE seq > 0 GROUP BY key")
        self.before: Final = _on(table, "SELECT max(seq) FROM {} WHERE seq <= ?")
        self.nth: Final = _on(table, "SELECT seq FROM {} WHERE seq > 0 ORDER BY seq LIMIT 1 OFFSET ?")
        self.last: Final = _on(table, "SELECT max(seq) FROM {}")
        self.count: Final = _on(
            table, "SELECT count(*), coalesce(sum(length(body)), 0) FROM {} WHERE seq BETWEEN ? AND ?"
        )
        self.delete_range: Final = _on(table, "DELETE FROM {} WHERE seq BETWEEN 1 AND ?")
        self.delete_one: Final = _on(table, "DELETE FROM {} WHERE seq = ?")


def _on(table: str, statement: str) -> str:
    return statement.replace("{}", table)


ON: Final = {table: Statements(table) for table in TABLES}
