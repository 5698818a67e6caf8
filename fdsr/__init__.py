"""fdsr: face super-resolution with facial dictionaries, and its distillation."""

from fdsr import openmmlab

# before any module of fdsr imports a part of mmagic
openmmlab.install()

__version__ = '0.1.0'
