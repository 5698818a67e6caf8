"""A check of one GPU: tests, training speed, inference speed, resume, NCCL.

Importing the package imports nothing heavy: ``check.run_check`` reports what is missing
on the machine before it needs it.
"""
