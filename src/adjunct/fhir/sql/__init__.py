"""The record in a database: one schema for SQLite and PostgreSQL, SQL text owned by SQLAlchemy."""
