"""Damaged files of every format through the real readers, in the real walled processes: `python -m benchmarks.fuzz`.

A case is a pure function of its format, a seed and a number, so any one can be made again, and any range be resumed.
"""
