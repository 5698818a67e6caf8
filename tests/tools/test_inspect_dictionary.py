"""The command line that looks at a dictionary."""

import json
import runpy
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.conftest import REPOSITORY
from tests.tools.test_build_dictionary import CONFIG

TOOLS = REPOSITORY / 'tools'


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Calls a tool in this process, in a folder with a teacher's config."""
    (tmp_path / 'teacher.py').write_text(CONFIG)
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.chdir(tmp_path)

    def run(tool, *arguments):
        path = str(TOOLS / f'{tool}.py')
        monkeypatch.setattr(sys, 'argv', [path, *map(str, arguments)])
        runpy.run_path(path, run_name='__main__')

    return run


def test_help_imports_no_heavy_package(tmp_path):
    done = subprocess.run(
        [sys.executable, '-X', 'importtime', str(TOOLS / 'inspect_dictionary.py'),
         '--help'], cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == 0 and '--crops' in done.stdout
    imported = {line.rpartition('|')[2].strip() for line in done.stderr.splitlines()}
    assert 'argparse' in imported and not {'torch', 'numpy', 'mmengine'} & imported


def test_it_tells_what_is_in_a_dictionary(call, tmp_path, capsys):
    call('build_dictionary', 'teacher.py', '--out', 'd.pth', '--num-atoms', 4)
    capsys.readouterr()
    call('inspect_dictionary', 'd.pth', 'teacher.py', '--max-faces', 10, '--histogram',
         '--json', 'd.json', '--csv', 'd.csv', '--crops', 'new/crops.png', '--atoms',
         'mouth:0:3', 'nose:1:0', '--num-crops', 5)
    said = capsys.readouterr().out
    assert 'd.pth, 10 faces of teacher.py, 0 bad ones skipped; seed 1' in said
    assert said.count('| right_eye |') == 8 and 'nearest crops of mouth 0 #3' in said
    slots = json.loads((tmp_path / 'd.json').read_text())['slots']
    assert all(sum(slot['usage']) == 10 for slot in slots)
    assert (tmp_path / 'd.csv').read_text().count('\n') == 1 + 16 * 3
    picture = np.asarray(Image.open(tmp_path / 'new' / 'crops.png'))
    assert picture.shape[0] > 5 * 128 and 2 * 128 < picture.shape[1] < 3 * 128
    assert len(list(tmp_path.iterdir())) == 6, 'no picture unless it is asked for'


@pytest.mark.parametrize('arguments, message', [
    (['none.pth', 'teacher.py'], 'no dictionary at none.pth'),
    (['teacher.py', 'teacher.py'], 'teacher.py'),
])
def test_what_the_user_can_mend_ends_with_a_message(call, arguments, message):
    with pytest.raises(SystemExit, match=message):
        call('inspect_dictionary', *arguments)


def test_no_crops_are_told_before_the_work(call, capsys):
    with pytest.raises(SystemExit):
        call('inspect_dictionary', 'd.pth', 'teacher.py', '--num-crops', 0)
    assert '--num-crops: 0 is less than 1' in capsys.readouterr().err
