"""``python -m fdsr`` is the command ``fdsr``."""

from fdsr.cli.infer import console

console()
