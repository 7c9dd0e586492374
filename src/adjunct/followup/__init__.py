"""Floor 5: follow-up."""
