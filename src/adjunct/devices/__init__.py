"""Messages of bedside devices."""
