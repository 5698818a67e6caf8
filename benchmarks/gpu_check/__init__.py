"""Checks one GPU: tests, training speed, inference speed, resume and NCCL.

``check.run_check`` reports a missing package before it is needed, so importing this
package loads nothing heavy.
"""
