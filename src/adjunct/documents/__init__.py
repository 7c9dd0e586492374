"""Floor 6: results as pictures and pages that people keep: plots with their table, and the validation report."""
