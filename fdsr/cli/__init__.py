"""The command ``fdsr``, and what command lines share. Imports nothing heavy."""
