"""Imports checkpoints of other projects, and exports and publishes networks."""
