"""The whole pipeline in small: dictionary, teacher, distilled student, metrics, images.

    python demo/run_demo.py

`make demo` runs this script after the setup. It needs no data and no download, because
it renders synthetic faces: 64 px from 8 px. It calls the tools of this repository,
prints each command, and writes their output to log files. If it is run again, it
continues where it stopped.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List

from fdsr.utils.files import write_text

ROOT = Path(__file__).resolve().parents[1]
TEACHER, DISTILL = 'configs/demo/teacher.py', 'configs/demo/distill.py'
COLUMNS = {'LR': 'lr', 'bicubic': 'bicubic', 'student': 'student',
           'teacher': 'teacher', 'HR': 'hr'}
ROWS, ZOOM = 6, 3
CAVEAT = """\
To finish within minutes, the demo uses synthetic faces, and the student starts from the
teacher's decoder. The numbers only show that all parts work together."""
_TAIL = 20
_SECONDS_BETWEEN_LINES = 10
# "Iter(train) [ 10/200] … loss: 21.5" of a runner, "learn:  50%|██  | 256/512 [" of a
# progress bar
_PROGRESS = re.compile(r'(?:Iter\(\w+\)\s*\[\s*|\|\s*)(\d+)/(\d+)[\]\s]'
                       r'(?:.*?\bloss: ([\d.]+))?')


class DemoError(Exception):
    """A step failed. The message names its log."""


@dataclass(frozen=True)
class Step:
    """A step of the demo, which runs one tool.

    Args:
        name: name of its log file.
        title: description of the step.
        command: returns the arguments of ``python``; called when the previous steps
            have finished.
        product: the file that the step writes.
    """

    name: str
    title: str
    command: Callable[[], List[str]]
    product: Path


def shown(path: Path) -> str:
    """Returns a path relative to the repository, if it is inside."""
    path = path.resolve()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def last_checkpoint(work_dir: Path) -> str:
    """Returns the last checkpoint of a training run."""
    return shown(work_dir / Path((work_dir / 'last_checkpoint').read_text()).name)


def steps(out: Path, quick: bool) -> List[Step]:
    """Returns the steps of the demo.

    Args:
        out: output folder.
        quick: use only a few faces and iterations, to check that each step runs.
    """
    dictionary, metrics = out / 'dictionary.safetensors', out / 'metrics.json'
    teacher, student = out / 'teacher', out / 'student'
    atoms, faces = (4, 8) if quick else (32, 128)
    train = ['train_cfg.max_iters=2', 'train_dataloader.dataset.length=8',
             'train_dataloader.batch_size=2'] if quick else []
    test = ['test_dataloader.dataset.length=3'] if quick else []

    def options(*values: str) -> List[str]:
        return ['--cfg-options', *values] if values else []

    return [
        Step('1_dictionary', 'Build the dictionary of eyes, noses and mouths', lambda: [
            'tools/build_dictionary.py', TEACHER, '--num-atoms', str(atoms),
            '--max-faces', str(faces), '--num-workers', '1',
            '--work-dir', shown(teacher), '--out', shown(dictionary)], dictionary),
        Step('2_teacher', 'Train the teacher, which uses the dictionary', lambda: [
            'tools/train.py', TEACHER, '--work-dir', shown(teacher), '--resume',
            *options(f'model.generator.dictionary.file={shown(dictionary)}', *train)],
            teacher / 'last_checkpoint'),
        Step('3_student', 'Distil it into a student without a dictionary', lambda: [
            'tools/train.py', DISTILL, '--work-dir', shown(student), '--resume',
            *options(f'model.teacher.checkpoint={last_checkpoint(teacher)}', *train)],
            student / 'last_checkpoint'),
        Step('4_test', 'Test both on unseen faces', lambda: [
            'tools/test.py', DISTILL, last_checkpoint(student),
            '--work-dir', shown(out / 'test'), '--out', shown(metrics),
            '--save-images', shown(out / 'images'), *options(*test)], metrics)]


class Demo:
    """Runs steps and records finished ones in ``OUT/steps.json``.

    Args:
        out: output folder, which is created if necessary.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._record = out / 'steps.json'
        self.seconds: Dict[str, float] = {}
        self._done: Dict[str, dict] = {}
        (out / 'logs').mkdir(parents=True, exist_ok=True)
        if self._record.is_file():
            self._done = json.loads(self._record.read_text())

    def run(self, step: Step) -> None:
        """Runs a step, unless it has already finished.

        Raises:
            DemoError: the step failed.
        """
        command = step.command()
        print(f'\n{step.title}\n  $ {shlex.join(["python", *command])}', flush=True)
        done = self._done.get(step.name)
        if done and done['command'] == command and step.product.exists():
            self.seconds[step.name] = done['seconds']
            print(f'  already done, in {clock(done["seconds"])}', flush=True)
            return
        # Later steps depend on this one and must run again.
        self._done = {name: facts for name, facts in self._done.items()
                      if name < step.name}
        start = time.monotonic()
        self._call(step, command)
        self.seconds[step.name] = time.monotonic() - start
        self._done[step.name] = dict(
            command=command, seconds=self.seconds[step.name])
        write_text(self._record, json.dumps(self._done, indent=2))
        print(f'  done in {clock(self.seconds[step.name])}; log: '
              f'{shown(self.log_of(step))}', flush=True)

    def log_of(self, step: Step) -> Path:
        """Returns the log file of a step."""
        return self.out / 'logs' / f'{step.name}.log'

    def _call(self, step: Step, command: List[str]) -> None:
        log, progress = self.log_of(step), Progress()
        with open(log, 'w', encoding='utf-8') as file, subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors='replace',
                env={**os.environ, 'PYTHONUNBUFFERED': '1'}) as process:
            for line in process.stdout:
                file.write(line)
                file.flush()
                progress(line)
            code = process.wait()
        if code == 0 and step.product.exists():
            return
        lines = log.read_text(encoding='utf-8').splitlines()[-_TAIL:]
        what = (f'ended with exit status {code}' if code else
                f'did not write {shown(step.product)}')
        raise DemoError('\n'.join([
            f'The step {what}. End of its log:', *(f'  | {line}' for line in lines),
            f'Full log: {shown(log)}',
            f'Command, to be run in {ROOT}:',
            f'  {shlex.join([sys.executable, *command])}']))


class Progress:
    """Prints the progress of a step every few seconds."""

    def __init__(self) -> None:
        self._last, self._at = time.monotonic(), '0'

    def __call__(self, line: str) -> None:
        """Processes a line of the step's output."""
        found = _PROGRESS.search(line)
        if (found is None or found[1] == self._at
                or time.monotonic() - self._last < _SECONDS_BETWEEN_LINES):
            return
        self._last, self._at = time.monotonic(), found[1]
        loss = f', loss {found[3]}' if found[3] else ''
        print(f'    {found[1]} of {found[2]}{loss}', flush=True)


def clock(seconds: float) -> str:
    """Formats seconds as 1:05."""
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'


def draw_grid(out: Path) -> Path:
    """Writes a grid of the first test faces and returns its path."""
    import numpy as np
    from PIL import Image

    from fdsr.reporting.grid import make_grid, save_grid
    images = out / 'images'
    names = sorted(path.relative_to(images / 'hr')
                   for path in (images / 'hr').rglob('*.png'))[:ROWS]
    rows = [[np.asarray(Image.open(images / folder / name).convert('RGB'))
             for folder in COLUMNS.values()] for name in names]
    # nearest-neighbour magnification, because 64 px are small on a screen
    rows = [[image.repeat(ZOOM, 0).repeat(ZOOM, 1) for image in row] for row in rows]
    return save_grid(out / 'grid.png', make_grid(rows, list(COLUMNS)))


def table_of(log: Path) -> str:
    """Returns the last table of tools/test.py, with its protocol."""
    text = log.read_text(encoding='utf-8')
    return text[text.rindex('| Model |'):].rstrip()


def report(demo: Demo, plan: List[Step]) -> None:
    """Prints the results."""
    grid = draw_grid(demo.out)
    print(f'\n{table_of(demo.log_of(plan[-1]))}\n')
    for step in plan:
        print(f'{clock(demo.seconds[step.name]):>6}  {step.title}')
    print(f'{clock(sum(demo.seconds.values())):>6}  total\n')
    print(f'Images    {shown(grid)}  ({", ".join(COLUMNS)})')
    print(f'Metrics   {shown(demo.out / "metrics.json")}, per image in '
          f'{shown(demo.out / "metrics.csv")}')
    print(f'Student   {last_checkpoint(demo.out / "student")}\n')
    print(CAVEAT)


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', metavar='DIR', type=Path,
                        help='output folder (default: work_dirs/demo)')
    parser.add_argument('--fresh', action='store_true',
                        help='remove the output of an earlier run and start again')
    parser.add_argument('--quick', action='store_true',
                        help='two iterations per network, to check that all steps run '
                        '(default output folder: work_dirs/demo_quick)')
    return parser.parse_args()


def main() -> None:
    """Runs the demo."""
    arguments = parse_arguments()
    out = arguments.out or ROOT / 'work_dirs' / (
        'demo_quick' if arguments.quick else 'demo')
    out = out.resolve()
    if arguments.fresh:
        remove_former(out)
    plan = steps(out, arguments.quick)
    try:
        demo = Demo(out)
        for step in plan:
            demo.run(step)
        report(demo, plan)
    except (DemoError, OSError) as error:
        sys.exit(f'\n{error}')
    except KeyboardInterrupt:
        sys.exit('\nStopped. Run it again without --fresh to continue.')


def remove_former(out: Path) -> None:
    """Removes the folder of an earlier demo.

    Raises:
        SystemExit: the folder does not look like one of the demo.
    """
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / 'logs').is_dir():
        sys.exit(f'--fresh: {out} does not look like a folder of the demo: it has no '
                 'logs. It was not removed. Remove it yourself, or use another --out.')
    shutil.rmtree(out)


if __name__ == '__main__':
    main()
