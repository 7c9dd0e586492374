"""The treatment day."""
