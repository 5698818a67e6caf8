"""Tables of methods: measuring them, comparing them, writing them down."""

from fdsr.benchmark.methods import Method, set_checkpoints
from fdsr.benchmark.running import Row, run_benchmark
from fdsr.benchmark.table import BenchmarkTable, tables_of, write_tables

__all__ = [
    'BenchmarkTable', 'Method', 'Row', 'run_benchmark', 'set_checkpoints', 'tables_of',
    'write_tables'
]
