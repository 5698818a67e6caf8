"""Runs the command ``fdsr`` as ``python -m fdsr``."""

from fdsr.cli.infer import console

console()
