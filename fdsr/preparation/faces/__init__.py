"""Faces cut, filtered, split and written once, with their manifests."""
