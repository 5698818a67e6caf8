"""Fault campaign: kills every tool, resumes it, and mutates every kind of input.

``python -m tests.faults`` runs it, see ``--help`` and docs/reliability.md.
"""
