"""Super-resolves faces; the same as the command ``fdsr``, see ``--help``."""

from fdsr.cli.infer import console

if __name__ == '__main__':
    console()
