"""README and docs: commands that exist and run, code that compiles, links that hold.

A command in a ```bash block runs in a test, or the block says what it needs:

    # needs VGGFace2           no test runs what stands below, up to the block's end
    # needs no data            or up to here
    COMMAND  # needs a GPU     no test runs this one

So a new command gets such a line, or an entry in RUN (this file runs it) or in
RUN_ELSEWHERE (another test does). Marked or not, its options, configs and paths have to
exist: a tool reads them with its own parse_arguments(), parse_args() or main().
"""

import argparse
import ast
import importlib
import importlib.util
import io
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import pytest
from mmengine.config import Config

from tests import warm
from tests.conftest import REPOSITORY as ROOT
from tests.in_process import call_tool
from tests.test_plugins import place  # noqa: F401  a fixture

# Run here, with these words behind them, which make them small.
RUN = {
    'python tools/profile_model.py configs/teacher_vggface2.py --data-root '
    'data/vggface2': '--num-atoms 2 --batch-sizes 1 --repeats 1 --warmup 0 '
    '--cfg-options model.generator.width=0.1 model.generator.encoder.arch=vgg16',
    'python projects/distillation_study/run.py --report test val': '',
    'python tools/export_onnx.py small small.onnx': '',
    'python tools/export_onnx.py small small-int8.onnx --int8': '',
    'python tools/export_onnx.py small small-face512.onnx --contract face512': '',
}
# Run by other tests.
RUN_ELSEWHERE = {
    'make demo': 'tests/test_demo.py::test_a_quick_run_ends_with_table_and_grid',
    'python demo/app.py': 'tests/test_demo_browser.py::'
                          'test_the_weights_that_come_along_restore_a_face',
    'make test': 'tests/test_setup.py::test_make_sets_up_first',
    'pip install --no-build-isolation --no-deps -e fdsr-shuffle':
        'tests/test_plugins.py::place',
    'python -c "from fdsr.registry import MODELS, register_all; register_all(); '
    'print(MODELS.get(\'fdsr.ShuffleStudent\'))"':
        'tests/test_docs.py::test_the_plugin_of_the_docs_is_found',
    'python tools/train.py configs/distill_shuffle.py':
        'tests/test_plugins.py::test_it_is_trained_as_a_student_by_config_alone',
    'python tools/test.py configs/distill_shuffle.py '
    'work_dirs/distill_shuffle/iter_60.pth':
        'tests/test_plugins.py::test_the_test_tool_measures_it',
}
# Commands whose arguments are read in a module.
PARSERS = dict.fromkeys(['fdsr', 'tools/infer.py'], 'fdsr.cli.infer')

PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]
MARKDOWN = [*ROOT.glob('*.md'), *(
    path for folder in ('docs', 'fdsr', 'configs', 'tools', 'demo', 'tests', 'projects')
    for path in sorted((ROOT / folder).rglob('*.md')))]
OUR_FOLDERS = r'(?:configs|tools|benchmarks|demo|docs|tests|fdsr|projects)/'

BLOCK = re.compile(
    r'^(?P<indent> *)```(?P<language>\w*)(?: title="(?P<title>.+?)")?\n'
    r'(?P<code>.*?)^(?P=indent)```$', re.M | re.S)
# bash itself sorts words, loops and variables out; what it cannot find, and with this
# PATH it finds nothing, it hands to this function.
SHELL = r'''
set -efu
cd() { :; }
command_not_found_handle() { printf '%s\0' "$@"; printf '\n\0'; }
'''


@dataclass(frozen=True)
class Block:
    """Code of a page."""

    page: Path
    number: int
    language: str
    title: str | None
    code: str

    def __str__(self) -> str:
        return f'{self.page.name}-{self.number}'


@dataclass(frozen=True)
class Command:
    """A command of a block: its words, and what it needs, if the block tells."""

    page: Path
    words: tuple[str, ...]
    needs: str = ''

    def __str__(self) -> str:
        return shlex.join(self.words)


def blocks_of(page: Path, text: str) -> list[Block]:
    return [Block(page, number, match['language'], match['title'],
                  re.sub(f'^{match["indent"]}', '', match['code'], flags=re.M))
            for number, match in enumerate(BLOCK.finditer(text), 1)]


BLOCKS = [block for page in PAGES for block in blocks_of(page, page.read_text('utf-8'))]
BASH = [block for block in BLOCKS if block.language == 'bash']
PYTHON = [block for block in BLOCKS if block.language == 'python']


def commands_of(block: Block) -> list[Command]:
    """What bash would run, in its order."""
    code = re.sub(r'^(.*\S)? *# needs (.+)$', needs_as_command, block.code, flags=re.M)
    done = subprocess.run(
        [shutil.which('bash'), '--restricted', '-c', SHELL + code],
        env={'PATH': '/nowhere'}, text=True, capture_output=True)
    assert done.returncode == 0 and not done.stderr, f'{block}: {done.stderr}'
    assert not re.search(r'\s\|\s', code), f'{block}: pipes are not understood here'
    commands, needs = [], ''
    for record in done.stdout.split('\0\n\0')[:-1]:
        words = tuple(record.split('\0'))
        if words[0] == 'needs':
            needs = '' if words[1].startswith('no ') else words[1]
        elif words[0] == 'needed':
            commands[-1] = replace(commands[-1], needs=words[1])
        else:
            commands.append(Command(block.page, words, needs))
    return commands


def needs_as_command(match: re.Match) -> str:
    """A marker as something that bash hands on, too."""
    what = shlex.quote(match[2])
    return f'{match[1]}; needed {what}' if match[1] else f'needs {what}'


def without_code(text: str) -> str:
    return re.sub(r'`[^`\n]*`', '', BLOCK.sub('', text))


def code_in_lines(page: Path) -> list[str]:
    return re.findall(r'`([^`\n]+)`', BLOCK.sub('', page.read_text('utf-8')))


def check_command(command: Command) -> None:
    """Asserts that what a command names exists."""
    program, *rest = command.words
    for word in command.words:
        check_path(word, command.page)
    if program == 'python' and rest[0] == '-c':
        check_python(rest[1])
    elif program == 'python' and not rest[0].startswith('-'):
        check_config_options(parse(rest[0], rest[1:]))
    elif program in PARSERS:
        parse(program, rest)
    elif program == 'make':
        targets = re.findall(r'^([\w-]+):', (ROOT / 'Makefile').read_text(), re.M)
        assert {word for word in rest if '=' not in word} <= set(targets)
    elif program == 'pip':
        extras = runpy.run_path(str(ROOT / 'setup.py'))['EXTRAS']
        for named in re.findall(r'\[(.+?)\]', ' '.join(rest)):
            assert set(named.split(',')) <= set(extras), f'no extra {named}'


def check_path(word: str, page: Path) -> None:
    if re.match(OUR_FOLDERS, word):
        shown = {block.title for block in BLOCKS if block.page == page}
        assert word in shown or any(ROOT.glob(word.rstrip('/'))), (
            f'{page.name} names {word}, which does not exist')


def parse(script: str, arguments: list[str]) -> argparse.Namespace | None:
    """The arguments as the tool reads them; None for --help."""
    path, said = ROOT / script, io.StringIO()
    with (mock.patch.object(sys, 'argv', [script, *arguments]),
          mock.patch.object(sys, 'path', [str(path.parent), *sys.path]),
          redirect_stderr(said)):
        names = (vars(importlib.import_module(PARSERS[script])) if script in PARSERS
                 else runpy.run_path(str(path), run_name='docs'))
        reader = names.get('parse_arguments') or names.get('parse_args')
        try:
            return reader() if reader else parsed_in(names['main'])
        except SystemExit as end:
            assert end.code in (0, None), said.getvalue() or end.code
            return None


class Parsed(BaseException):
    """Carries the arguments out of a tool that reads them in its main()."""


def parsed_in(main) -> argparse.Namespace:
    read = argparse.ArgumentParser.parse_args

    def stop(*args, **kwargs):
        raise Parsed(read(*args, **kwargs))

    with (mock.patch.object(argparse.ArgumentParser, 'parse_args', stop),
          pytest.raises(Parsed) as parsed):
        main()
    return parsed.value.args[0]


def check_config_options(arguments: argparse.Namespace | None) -> None:
    """Asserts that KEY=VALUE sets something that the config has a place for."""
    for option in getattr(arguments, 'cfg_options', ()):
        place_of = Config.fromfile(ROOT / arguments.config)
        for part in option.partition('=')[0].split('.')[:-1]:
            place_of = (place_of[int(part)] if isinstance(place_of, list)
                        else place_of.get(part))
            assert place_of is not None, f'{arguments.config} has no place for {option}'


def check_python(code: str) -> None:
    """Asserts that it compiles, and that what it imports of fdsr is there."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            for name in (alias.name for alias in node.names):
                if name.split('.')[0] == 'fdsr':
                    importlib.import_module(name)
        elif isinstance(node, ast.ImportFrom) and node.module.split('.')[0] == 'fdsr':
            module = importlib.import_module(node.module)
            for name in (alias.name for alias in node.names):
                assert hasattr(module, name) or importlib.util.find_spec(
                    f'{node.module}.{name}'), f'{node.module} has no {name}'


def slugs(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    found: dict[str, int] = {}
    for heading in re.findall(
            r'^#+ +(.+?)[ #]*$', BLOCK.sub('', page.read_text('utf-8')), re.M):
        heading = re.sub(r'\[([^]]*)\]\([^)]*\)', r'\1', heading).lower()
        slug = re.sub(r'[^\w\- ]', '', heading).replace(' ', '-')
        found[slug] = found.get(slug, -1) + 1
        if found[slug]:
            found[f'{slug}-{found[slug]}'] = 0
    return set(found)


@pytest.mark.parametrize('block', BASH, ids=str)
def test_commands_name_what_exists(block):
    commands = commands_of(block)
    assert commands
    for command in commands:
        check_command(command)


@pytest.mark.parametrize('block', BASH, ids=str)
def test_commands_run_or_tell_what_they_need(block):
    for command in commands_of(block):
        assert command.needs or known(command), (
            f'{block}: no test runs `{command}`. Put a line "# needs WHAT" above it, '
            f'or add it to RUN or RUN_ELSEWHERE in {Path(__file__).name}.')


def known(command: Command) -> bool:
    return list(command.words) in map(shlex.split, [*RUN, *RUN_ELSEWHERE])


def test_the_tables_are_up_to_date():
    written = [list(command.words) for block in BASH for command in commands_of(block)
               if not command.needs]
    for line in [*RUN, *RUN_ELSEWHERE]:
        assert shlex.split(line) in written, f'no page has `{line}` any more'
    for test in RUN_ELSEWHERE.values():
        file, _, name = test.partition('::')
        assert f'def {name}(' in (ROOT / file).read_text('utf-8'), test


@pytest.mark.slow
@pytest.mark.parametrize('line', RUN)
def test_it_runs_with_nothing_but_the_repository(line, tmp_path, monkeypatch):
    for folder in ('configs', 'tools', 'benchmarks', 'demo'):
        (tmp_path / folder).symlink_to(ROOT / folder)
    for folder in ('docs', 'projects'):  # the report is written there
        shutil.copytree(ROOT / folder, tmp_path / folder)
    words = shlex.split(line)[1:] + shlex.split(RUN[line])
    if words[0].startswith('tools/'):
        monkeypatch.chdir(tmp_path)
        done = call_tool(tmp_path / words[0], *words[1:])
    else:
        done = subprocess.run([warm.python(), *words], cwd=tmp_path, text=True,
                              capture_output=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


@pytest.mark.slow
def test_the_plugin_of_the_docs_is_found(place, monkeypatch):  # noqa: F811
    line = next(line for line in RUN_ELSEWHERE if 'ShuffleStudent' in line)
    monkeypatch.setenv('PYTHONPATH', str(place.site))
    done = subprocess.run([warm.python(warm.TORCH), *shlex.split(line)[1:]], text=True,
                          cwd=place.folder, capture_output=True)
    assert done.stdout == "<class 'fdsr_shuffle.network.ShuffleStudent'>\n", done.stderr


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_the_text_names_what_exists(page):
    code = code_in_lines(page)
    shown = ''.join(block.code for block in BLOCKS if block.page == page)
    sources = ''.join(
        path.read_text('utf-8') for folder in (
            'tools', 'demo', 'benchmarks', 'fdsr/cli', 'projects/distillation_study')
        for path in (ROOT / folder).iterdir() if path.suffix in ('.py', '.sh'))
    for span in code:
        if re.fullmatch(OUR_FOLDERS + r'[\w./*-]*', span):
            check_path(span, page)
        elif re.match(r'(\w+=\S+ )*(python|make|pip install|fdsr) [^…]+$', span):
            for command in commands_of(Block(page, 0, 'bash', None, span)):
                check_command(command)
        elif option := re.match(r'--[a-z][a-z0-9-]*', span):
            assert re.search(rf'{option[0]}\b(?!-)', sources + shown), (
                f'{page.name} names {option[0]}, which no tool has')


@pytest.mark.parametrize('block', PYTHON, ids=str)
def test_python_compiles_and_its_imports_exist(block):
    check_python(block.code)


@pytest.mark.parametrize('page', MARKDOWN, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = without_code(page.read_text('utf-8'))
    for link in re.findall(r'\]\(([^()\s]+)\)|\b(?:src|href)="([^"]+)"', text):
        target, _, anchor = ''.join(link).partition('#')
        if re.match(r'\w+:', target):
            continue
        path = (page.parent / target) if target else page
        assert path.exists(), f'{page.name} links to {target}'
        assert not anchor or anchor in slugs(path), f'{target} has no #{anchor}'


@pytest.mark.parametrize(('code', 'message'), [
    ('python tools/train.py configs/teacher_vggface2.py --no-such', '--no-such'),
    ('python tools/train.py configs/no_such.py', 'no_such.py, which does not exist'),
    ('python tools/no_such.py', 'no_such.py, which does not exist'),
    ('for x in a b; do\n    python tools/${x}.py\ndone', 'a.py, which does not exist'),
    ('python tools/train.py configs/teacher_vggface2.py \\\n    --cfg-options '
     'model.nothing.type=a', 'no place for model.nothing.type=a'),
    ('python tools/profile_model.py', 'the following arguments are required'),
    ('fdsr face.png --out restored --no-such', '--no-such'),
    ('python benchmarks/index.py --no-such', '--no-such'),
    ('make nothing', 'nothing'),
    ("pip install -e '.[nothing]'", 'no extra nothing'),
    ("python -c 'from fdsr.apis import Nothing'", 'fdsr.apis has no Nothing'),
    ('python tools/train.py $UNKNOWN', 'UNKNOWN: unbound variable'),
    ('tools/setup.sh', 'restricted'),
])
def test_mistakes_are_found(code, message):
    with pytest.raises(AssertionError, match=re.escape(message)):
        for command in commands_of(Block(ROOT / 'README.md', 0, 'bash', None, code)):
            check_command(command)


def test_markers_say_what_is_not_run():
    code = ('make demo  # needs time\n\n# needs VGGFace2\nA=b\npython $A "c d" \\\n'
            '    e  # 4 min\n# needs no data\nmake test\nmake lint\n')
    commands = commands_of(Block(ROOT / 'README.md', 0, 'bash', None, code))
    assert [(str(command), command.needs) for command in commands] == [
        ('make demo', 'time'), ("python b 'c d' e", 'VGGFace2'), ('make test', ''),
        ('make lint', '')]
    assert [known(command) for command in commands] == [True, False, True, False]


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip('mkdocs', reason="no mkdocs: pip install -e '.[docs]'")
    done = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', tmp_path],
        cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    home = (tmp_path / 'index.html').read_text('utf-8')
    assert 'href="plugins.html"' in home.partition('role="main"')[2]
    assert 'href="docs/' not in home and 'href="configs/' not in home
    for page in tmp_path.glob('*.html'):
        for paragraph in re.findall(r'<p>(.*?)</p>', page.read_text('utf-8'), re.S):
            assert not re.search(r'^([-*|]|```) ?', paragraph, re.M), (
                f'{page.name}: no list, table or block on the site (an empty line '
                f'before it? 4 spaces within a list?): {paragraph[:200]}')
