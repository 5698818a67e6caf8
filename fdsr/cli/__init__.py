"""The command ``fdsr``, and what the tools share. Imports nothing heavy."""
