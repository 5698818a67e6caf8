"""Networks as ONNX files, checked against what they were made from."""

from fdsr.interchange.export.onnx import Exported, export_onnx

__all__ = ['Exported', 'export_onnx']
