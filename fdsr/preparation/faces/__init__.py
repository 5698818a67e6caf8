"""Preparation of faces: cropped, filtered, split and written with manifests."""
