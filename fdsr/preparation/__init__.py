"""Preparing faces once: cut, resized, filtered, split and written with a manifest."""
