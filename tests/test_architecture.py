"""docs/architecture.md lists every package, and none imports from a row below."""

import re

import pytest

from tests.conftest import REPOSITORY as ROOT
from tests.import_layers import Layers, levels_of, mutual

LAYERS = Layers(ROOT)


def test_the_table_lists_every_package():
    assert len(LAYERS.rows) > 20
    for package in LAYERS.rows:
        assert (ROOT / package).exists(), f'docs/architecture.md names {package}'
    missing = {str(path) for path in LAYERS.modules if LAYERS.row_of(path) is None}
    assert not missing, f'in no row of docs/architecture.md: {sorted(missing)}'


@pytest.mark.parametrize('path', LAYERS.modules, ids=str)
def test_a_package_imports_from_no_row_below(path):
    for module in LAYERS.imports_of(path):
        rows = LAYERS.row_of(module), LAYERS.row_of(path)
        assert None not in rows and rows[0] <= rows[1], (
            f'{path} imports {module}, which is not above it in docs/architecture.md')


def test_no_two_packages_import_each_other():
    assert not mutual(LAYERS.edges())


def test_levels_and_circles():
    edges = {'a': {'b', 'c'}, 'b': {'c'}, 'c': set(), 'd': {'a', 'e'}, 'e': {'d'}}
    assert levels_of(edges) == dict(a=2, b=1, c=0, d=3, e=3)
    assert mutual(edges) == [('d', 'e')]


def test_backbones_know_nothing_of_training():
    for path in (ROOT / 'fdsr/models/backbones').glob('*.py'):
        assert not re.search(r'^\s*(from|import) mm', path.read_text('utf-8'), re.M)


def test_imports_inside_functions_count(tmp_path):
    code = ('from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import fdsr.cli\n'
            'from fdsr import registry\ndef late():\n    from fdsr.apis import Face\n')
    (tmp_path / 'module.py').write_text(code)
    assert {str(path) for path in LAYERS.imports_of(tmp_path / 'module.py')} == {
        'fdsr/registry.py', 'fdsr/apis/__init__.py'}
