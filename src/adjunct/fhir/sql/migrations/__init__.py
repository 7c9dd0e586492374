"""Migrations of the record, oldest first; each is frozen once released."""
