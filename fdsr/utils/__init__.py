"""Helpers that depend on neither faces nor networks."""
