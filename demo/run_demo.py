"""The whole job, small: dictionary, teacher, distilled student, metrics, pictures.

    python demo/run_demo.py

What `make demo` runs, after the set-up. It needs no data and no download: faces are
drawn, 64 px from 8 px. It calls the tools that you would call yourself, prints each
command, and keeps what they say in log files. Run again, it goes on where it stopped.
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
To be ready in minutes the student started from the teacher's decoder, and the faces
are drawn: the numbers show that the parts work together, and no more."""
_TAIL = 20
_SECONDS_BETWEEN_LINES = 10
# "Iter(train) [ 10/200] … loss: 21.5" of a runner, "learn:  50%|██  | 256/512 [" of a
# progress bar
_PROGRESS = re.compile(r'(?:Iter\(\w+\)\s*\[\s*|\|\s*)(\d+)/(\d+)[\]\s]'
                       r'(?:.*?\bloss: ([\d.]+))?')


class DemoError(Exception):
    """A step failed; the message says where to look."""


@dataclass(frozen=True)
class Step:
    """A step of the demo: one command of the toolbox.

    Args:
        name: of its log file.
        title: what it does, in words.
        command: makes the words of the command behind ``python``; called once what
            came before is there.
        product: the file that is there when the step is done.
    """

    name: str
    title: str
    command: Callable[[], List[str]]
    product: Path


def shown(path: Path) -> str:
    """A path as the commands give it: relative to the repository, if it lies inside."""
    path = path.resolve()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def last_checkpoint(work_dir: Path) -> str:
    """The checkpoint that a training run in this folder wrote last."""
    return shown(work_dir / Path((work_dir / 'last_checkpoint').read_text()).name)


def steps(out: Path, quick: bool) -> List[Step]:
    """The demo's steps.

    Args:
        out: folder that everything goes to.
        quick: only touch each step: a few faces and iterations, useless networks.
    """
    dictionary, metrics = out / 'dictionary.pth', out / 'metrics.json'
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
        Step('2_teacher', 'Train the teacher, which reads the dictionary', lambda: [
            'tools/train.py', TEACHER, '--work-dir', shown(teacher), '--resume',
            *options(f'model.generator.dictionary.file={shown(dictionary)}', *train)],
            teacher / 'last_checkpoint'),
        Step('3_student', 'Distil it into a student without dictionary', lambda: [
            'tools/train.py', DISTILL, '--work-dir', shown(student), '--resume',
            *options(f'model.teacher.checkpoint={last_checkpoint(teacher)}', *train)],
            student / 'last_checkpoint'),
        Step('4_test', 'Test both on faces that neither has seen', lambda: [
            'tools/test.py', DISTILL, last_checkpoint(student),
            '--work-dir', shown(out / 'test'), '--out', shown(metrics),
            '--save-images', shown(out / 'images'), *options(*test)], metrics)]


class Demo:
    """Runs steps, and remembers in ``OUT/steps.json`` which are done.

    Args:
        out: folder for everything; made if it is not there.
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
        """Runs a step, unless it is done already.

        Raises:
            DemoError: it failed.
        """
        command = step.command()
        print(f'\n{step.title}\n  $ {shlex.join(["python", *command])}', flush=True)
        done = self._done.get(step.name)
        if done and done['command'] == command and step.product.exists():
            self.seconds[step.name] = done['seconds']
            print(f'  done before, in {clock(done["seconds"])}', flush=True)
            return
        # What comes later was made of what this step makes anew.
        self._done = {name: facts for name, facts in self._done.items()
                      if name < step.name}
        start = time.monotonic()
        self._call(step, command)
        self.seconds[step.name] = time.monotonic() - start
        self._done[step.name] = dict(
            command=command, seconds=self.seconds[step.name])
        write_text(self._record, json.dumps(self._done, indent=2))
        print(f'  done in {clock(self.seconds[step.name])}; its log: '
              f'{shown(self.log_of(step))}', flush=True)

    def log_of(self, step: Step) -> Path:
        """The file that keeps what a step said."""
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
            f'The step {what}. The end of its log:', *(f'  | {line}' for line in lines),
            f'All of it: {shown(log)}',
            f'The command, to be run in {ROOT}:',
            f'  {shlex.join([sys.executable, *command])}']))


class Progress:
    """Passes on how far a step is, a line every few seconds."""

    def __init__(self) -> None:
        self._last, self._at = time.monotonic(), '0'

    def __call__(self, line: str) -> None:
        """Looks at a line of the step's output."""
        found = _PROGRESS.search(line)
        if (found is None or found[1] == self._at
                or time.monotonic() - self._last < _SECONDS_BETWEEN_LINES):
            return
        self._last, self._at = time.monotonic(), found[1]
        loss = f', loss {found[3]}' if found[3] else ''
        print(f'    {found[1]} of {found[2]}{loss}', flush=True)


def clock(seconds: float) -> str:
    """Seconds as 1:05."""
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'


def draw_grid(out: Path) -> Path:
    """Puts the first test faces side by side; returns the picture's path."""
    import numpy as np
    from PIL import Image

    from fdsr.reporting.grid import make_grid, save_grid
    images = out / 'images'
    names = sorted(path.relative_to(images / 'hr')
                   for path in (images / 'hr').rglob('*.png'))[:ROWS]
    rows = [[np.asarray(Image.open(images / folder / name).convert('RGB'))
             for folder in COLUMNS.values()] for name in names]
    # 64 px are small on a screen; whole pixels, so that nothing is smoothed
    rows = [[image.repeat(ZOOM, 0).repeat(ZOOM, 1) for image in row] for row in rows]
    return save_grid(out / 'grid.png', make_grid(rows, list(COLUMNS)))


def table_of(log: Path) -> str:
    """The table, with its protocol, that tools/test.py printed last."""
    text = log.read_text(encoding='utf-8')
    return text[text.rindex('| Model |'):].rstrip()


def report(demo: Demo, plan: List[Step]) -> None:
    """Prints what came out."""
    grid = draw_grid(demo.out)
    print(f'\n{table_of(demo.log_of(plan[-1]))}\n')
    for step in plan:
        print(f'{clock(demo.seconds[step.name]):>6}  {step.title}')
    print(f'{clock(sum(demo.seconds.values())):>6}  altogether\n')
    print(f'Picture   {shown(grid)}  ({", ".join(COLUMNS)})')
    print(f'Metrics   {shown(demo.out / "metrics.json")}, one row an image in '
          f'{shown(demo.out / "metrics.csv")}')
    print(f'Student   {last_checkpoint(demo.out / "student")}\n')
    print(CAVEAT)


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', metavar='DIR', type=Path,
                        help='folder for everything (default: work_dirs/demo)')
    parser.add_argument('--fresh', action='store_true',
                        help='remove what an earlier run left there, and start anew')
    parser.add_argument('--quick', action='store_true',
                        help='two iterations a network, to see whether all steps run; '
                        'goes to work_dirs/demo_quick')
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
        sys.exit('\nStopped. Run it again, without --fresh, and it goes on from here.')


def remove_former(out: Path) -> None:
    """Removes an earlier demo's folder, and no other.

    Raises:
        SystemExit: the folder holds something else.
    """
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / 'logs').is_dir():
        sys.exit(f'--fresh: {out} does not look like a folder of the demo (no logs in '
                 'it), so it is left alone. Remove it yourself, or give another --out.')
    shutil.rmtree(out)


if __name__ == '__main__':
    main()
