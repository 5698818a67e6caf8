"""fdsr: face super-resolution with facial dictionaries, and its distillation."""

__version__ = '0.1.0'
