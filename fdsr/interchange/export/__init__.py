"""Exports networks to ONNX and checks the exported files."""

from fdsr.interchange.export.onnx import Exported, export_onnx

__all__ = ['Exported', 'export_onnx']
