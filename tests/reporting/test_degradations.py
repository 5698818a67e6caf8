"""The grid of degradations and the tool that writes it."""
import runpy
import sys

import numpy as np
import pytest
from PIL import Image

from fdsr.datasets import SyntheticFacesDataset
from fdsr.datasets.transforms import BlindDegradation
from fdsr.reporting.degradations import degradation_sheet
from tests.conftest import REPOSITORY


def test_a_sheet_shows_hr_and_lr():
    sheet = degradation_sheet(['dfdnet'], faces=2, size=32, scale=4)
    assert sheet.shape == (20 + 2 * 34 - 2, 4 * 34 - 2, 3)
    face = SyntheticFacesDataset(2, size=32)[1]
    second = sheet[20 + 34:]
    assert np.array_equal(second[:, :32], face['img'])
    lr = BlindDegradation('dfdnet', 4, seed=0)(face)['img']
    shown = np.repeat(np.repeat(lr, 4, 0), 4, 1)
    assert np.array_equal(second[:, -32:], shown)


def test_the_tool_writes_a_jpeg(tmp_path, monkeypatch, capsys):
    tool = REPOSITORY / 'tools' / 'show_degradations.py'
    monkeypatch.syspath_prepend(str(tool.parent))
    monkeypatch.setattr(sys, 'argv', [
        'show_degradations.py', '--out', str(tmp_path / 'sheet.jpg'), '--faces', '1',
        '--size', '32', '--steps', 'gfpgan'])
    runpy.run_path(str(tool), run_name='__main__')
    assert 'sheet.jpg' in capsys.readouterr().out
    with Image.open(tmp_path / 'sheet.jpg') as sheet:
        assert sheet.format == 'JPEG' and sheet.size == (4 * 34 - 2, 52)


def test_unknown_steps_are_named():
    with pytest.raises(ValueError, match='expected a list of steps or one of dfdnet'):
        degradation_sheet(['none'], faces=1, size=32)
