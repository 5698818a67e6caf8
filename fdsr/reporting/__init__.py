"""Pictures that show what the numbers mean."""
