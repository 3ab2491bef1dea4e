"""Tags of SQL queries."""

DB = "sql.db"
