"""The packages of fdsr, and which of them import which.

    python -m tests.import_layers [ROOT]

A package is a folder of ``fdsr``, a folder of ``fdsr/models``, or a file beside them.
Imports inside functions count, those for type hints do not.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

Edges = dict[str, set[str]]


class Layers:
    """The import graph of a checkout.

    Args:
        root: of the repository.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        page = (root / 'docs' / 'architecture.md').read_text('utf-8')
        table = re.search(r'^\| (?:Room|Package) \|.*\n.*\n((?:\|.*\n)+)', page, re.M)
        #: {folder or file: number of its row}
        self.rows = {
            place: number for number, line in enumerate(table[1].splitlines())
            for place in re.findall(r'`(fdsr/[^`]+)`', line.split('|')[1])}
        self.modules = sorted(
            path.relative_to(root) for path in (root / 'fdsr').rglob('*.py')
            if path != root / 'fdsr' / '__init__.py')

    def imports_of(self, path: Path) -> Iterator[Path]:
        """Yields fdsr's modules that a file imports, anywhere but for type hints."""
        found = [ast.parse((self.root / path).read_text('utf-8'))]
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
            yield from filter(None, map(self.module_at, names))

    def module_at(self, name: str) -> Path | None:
        """Returns fdsr's module of a dotted name, or of what a module defines."""
        parts = name.split('.')
        if parts[0] != 'fdsr' or len(parts) == 1:
            return None
        for length in range(len(parts), 1, -1):
            path = Path(*parts[:length])
            for candidate in (path.with_suffix('.py'), path / '__init__.py'):
                if (self.root / candidate).is_file():
                    return candidate
        return None

    def row_of(self, path: Path) -> int | None:
        """Returns the row of a module: that of the file, else of the nearest folder."""
        places = (str(part) for part in (path, *path.parents))
        return next((self.rows[place] for place in places if place in self.rows), None)

    def edges(self) -> Edges:
        """Returns {package: packages that it imports}, for every package."""
        edges: Edges = {package_of(path): set() for path in self.modules}
        for path in self.modules:
            edges[package_of(path)].update(map(package_of, self.imports_of(path)))
        return {package: found - {package} for package, found in edges.items()}

    def upward(self) -> list[tuple[str, str]]:
        """Returns the imports of a package that stands below the importing one.

        A package that stands in two rows counts as one in the first of them.
        """
        edges = self.edges()
        rows = {package: self.row_of(Path(package)) or 0 for package in edges}
        return [(package, other) for package, found in edges.items()
                for other in sorted(found)
                if rows[package] < rows[other]]


def package_of(path: Path) -> str:
    """Returns the package that a module belongs to."""
    depth = 3 if path.parts[:2] == ('fdsr', 'models') else 2
    folder = Path(*path.parts[:depth])
    return str(path.parent if path.parts[1] == 'models' and folder == path else folder)


def mutual(edges: Edges) -> list[tuple[str, str]]:
    """Returns the pairs of packages that import each other."""
    return sorted((one, other) for one, found in edges.items() for other in found
                  if one < other and one in edges[other])


def levels_of(edges: Edges) -> dict[str, int]:
    """Returns the level of each package: one above the highest that it imports.

    Packages that import each other, directly or not, share a level.
    """
    circles = {package: frozenset(other for other in reached(edges, [package])
                                  if package in reached(edges, [other])) | {package}
               for package in edges}
    levels: dict[str, int] = {}

    def level(package: str) -> int:
        if package not in levels:
            circle = circles[package]
            below = {other for member in circle for other in edges[member]} - circle
            highest = max(map(level, below), default=-1)
            levels.update(dict.fromkeys(circle, highest + 1))
        return levels[package]

    for package in edges:
        level(package)
    return levels


def reached(edges: Edges, start: Iterable[str]) -> set[str]:
    """Returns all packages that the given ones import, directly or not."""
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        new = edges[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def main() -> None:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else '.').resolve()
    layers = Layers(root)
    edges = layers.edges()
    levels = levels_of(edges)
    for level in range(max(levels.values()) + 1):
        print(level, ', '.join(sorted(
            package.removeprefix('fdsr/') for package in levels
            if levels[package] == level)))
    lines = sum(len((root / path).read_text('utf-8').splitlines())
                for path in layers.modules)
    upward = layers.upward()
    print(f'{lines} lines, {len(edges)} packages, {max(levels.values()) + 1} levels, '
          f'{sum(map(len, edges.values()))} edges, {len(upward)} upward, '
          f'{len(mutual(edges))} mutual')
    for one, other in upward:
        print(f'upward: {one} imports {other}')
    for one, other in mutual(edges):
        print(f'mutual: {one} and {other}')


if __name__ == '__main__':
    main()
