"""Networks from LR to SR, RGB in [0, 1] on both sides, and nothing else."""

from fdsr.models.backbones.bicubic import Bicubic
from fdsr.models.backbones.dictionary_teacher import DictionaryTeacher
from fdsr.models.backbones.distilled_student import DistilledStudent

__all__ = ['Bicubic', 'DictionaryTeacher', 'DistilledStudent']
