"""Super-resolution networks: RGB in [0, 1] in, RGB in [0, 1] out."""

from fdsr.models.backbones.bicubic import Bicubic
from fdsr.models.backbones.compact import CompactSR
from fdsr.models.backbones.dictionary_teacher import DictionaryTeacher
from fdsr.models.backbones.encoder import Encoder, FeatureEncoder, TinyEncoder
from fdsr.models.backbones.encoder_decoder import DistilledStudent, EncoderDecoder
from fdsr.models.backbones.heatmap_net import HeatmapNet
from fdsr.models.backbones.progressive_fsr import ProgressiveFSR
from fdsr.models.backbones.rcan import RCAN
from fdsr.models.backbones.rep_sr import RepSR
from fdsr.models.backbones.safmn import SAFMN
from fdsr.models.backbones.span import SPAN
from fdsr.models.backbones.srfbn import SRFBN
from fdsr.models.backbones.srvgg import SRVGG
from fdsr.models.backbones.unrolled import UnrolledGenerator

__all__ = [
    'RCAN', 'SAFMN', 'SPAN', 'SRFBN', 'SRVGG', 'Bicubic', 'CompactSR',
    'DictionaryTeacher', 'DistilledStudent', 'Encoder', 'EncoderDecoder',
    'FeatureEncoder', 'HeatmapNet', 'ProgressiveFSR', 'RepSR', 'TinyEncoder',
    'UnrolledGenerator'
]
