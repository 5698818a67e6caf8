"""Folders that users copy into other programs."""
