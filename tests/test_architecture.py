"""docs/architecture.md: every room is in its table, and imports from no row below."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY as ROOT

PAGE = (ROOT / 'docs' / 'architecture.md').read_text('utf-8')
TABLE = PAGE.partition('\n| Room |')[2].partition('\n\n')[0]
#: {room: number of its row}
ROWS = {room: number for number, line in enumerate(TABLE.splitlines()[2:])
        for room in re.findall(r'`(fdsr/[^`]+)`', line.split('|')[1])}
MODULES = sorted(path.relative_to(ROOT) for path in (ROOT / 'fdsr').rglob('*.py')
                 if path.name != '__init__.py' or path.parent.name != 'fdsr')


def row_of(path: Path) -> int | None:
    """The row of a module: that of the file, else of the innermost folder."""
    rooms = (str(part) for part in (path, *path.parents))
    return next((ROWS[room] for room in rooms if room in ROWS), None)


def imports_of(path: Path) -> Iterator[Path]:
    """The modules of fdsr that a file imports, anywhere but for type hints."""
    found = [ast.parse((ROOT / path).read_text('utf-8'))]
    while found:
        node = found.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == 'TYPE_CHECKING':
            continue
        found.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f'{node.module}.{alias.name}' for alias in node.names]
        else:
            continue
        yield from filter(None, map(module_at, names))


def module_at(name: str) -> Path | None:
    """fdsr's module of a dotted name, which may end in something that is in it."""
    parts = name.split('.')
    if parts[0] != 'fdsr' or len(parts) == 1:
        return None
    for length in range(len(parts), 1, -1):
        path = Path(*parts[:length])
        for candidate in (path.with_suffix('.py'), path / '__init__.py'):
            if (ROOT / candidate).is_file():
                return candidate
    return None


def test_the_table_names_what_is_there():
    assert len(ROWS) > 20
    for room in ROWS:
        assert (ROOT / room).exists(), f'docs/architecture.md names {room}'
    missing = {str(path) for path in MODULES if row_of(path) is None}
    assert not missing, f'in no row of docs/architecture.md: {sorted(missing)}'


@pytest.mark.parametrize('path', MODULES, ids=str)
def test_a_room_imports_from_no_row_below(path):
    for module in imports_of(path):
        rows = row_of(module), row_of(path)
        assert None not in rows and rows[0] <= rows[1], (
            f'{path} imports {module}, which is not above it in docs/architecture.md')


def test_backbones_know_nothing_of_training():
    for path in (ROOT / 'fdsr/models/backbones').glob('*.py'):
        assert not re.search(r'^\s*(from|import) mm', path.read_text('utf-8'), re.M)


def test_imports_inside_functions_count(tmp_path):
    code = ('from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import fdsr.cli\n'
            'from fdsr import registry\ndef late():\n    from fdsr.apis import Face\n')
    (tmp_path / 'module.py').write_text(code)
    assert {str(path) for path in imports_of(tmp_path / 'module.py')} == {
        'fdsr/registry.py', 'fdsr/apis/__init__.py'}
