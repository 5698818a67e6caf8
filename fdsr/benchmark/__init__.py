"""Benchmarks: measure several methods, compare them and write the tables."""

from fdsr.benchmark.benchmark_table import BenchmarkTable, tables_of, write_tables
from fdsr.benchmark.degradations import (
    DegradationTable,
    degradation_tables_of,
    run_degradations,
)
from fdsr.benchmark.methods import Method, set_checkpoints
from fdsr.benchmark.running import Row, run_benchmark

__all__ = [
    'BenchmarkTable', 'DegradationTable', 'Method', 'Row', 'degradation_tables_of',
    'run_benchmark', 'run_degradations', 'set_checkpoints', 'tables_of', 'write_tables'
]
