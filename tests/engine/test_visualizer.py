"""The visualizer without a figure."""

import json
import subprocess

from fdsr.registry import VISUALIZERS
from tests import warm


def test_scalars_reach_the_back_end(tmp_path):
    visualizer = VISUALIZERS.build(dict(
        type='fdsr.ScalarVisualizer', name='scalars', save_dir=str(tmp_path),
        vis_backends=[dict(type='LocalVisBackend')]))
    visualizer.add_scalars({'loss': 0.5}, step=3)
    line, = (tmp_path / 'vis_data/scalars.json').read_text().splitlines()
    assert json.loads(line) == {'loss': 0.5, 'step': 3}


def test_it_does_not_import_matplotlib():
    code = ('import sys; sys.modules["matplotlib"] = None; '
            'from fdsr.engine.visualizer import ScalarVisualizer; '
            'ScalarVisualizer(name="scalars")')
    subprocess.run([warm.python(warm.TORCH), '-c', code], check=True, timeout=300)
