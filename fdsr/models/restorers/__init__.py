"""What the runner trains and tests: backbones with losses around them."""

from fdsr.models.data_preprocessor import FacePreprocessor
from fdsr.models.restorers.dictionary_distiller import DictionaryDistiller
from fdsr.models.restorers.face_restorer import FaceRestorer
from fdsr.models.restorers.face_tester import FaceTester

__all__ = ['DictionaryDistiller', 'FacePreprocessor', 'FaceRestorer', 'FaceTester']
