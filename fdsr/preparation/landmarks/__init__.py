"""Extraction of the landmarks of a folder to CSVs."""
