"""The landmarks of a folder, as CSVs."""
