"""Geometry of faces: landmarks, component boxes, alignment."""
