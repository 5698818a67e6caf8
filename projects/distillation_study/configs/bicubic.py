"""Tests bicubic upsampling, a baseline without training."""
_base_ = ['../../../configs/_base_/models/bicubic.py', 'base.py']
