"""Building and inspection of dictionaries."""
