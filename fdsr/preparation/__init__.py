"""Preparation before training: faces, landmarks, dictionaries, cached features."""
