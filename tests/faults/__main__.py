"""Runs the fault campaign and writes its report.

    python -m tests.faults --out work_dirs/faults            # as make faults
    python -m tests.faults --seed 0 --tool fdsr --run 3      # repeats one run
"""

import os

os.environ['CUDA_VISIBLE_DEVICES'] = ''
os.environ.setdefault('OMP_NUM_THREADS', '1')

from tests.faults.running import main  # noqa: E402

if __name__ == '__main__':
    main()
