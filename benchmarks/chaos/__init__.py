"""Faults on purpose: the real service is killed, stopped, cut off, filled up and delayed, and nothing may be lost.

make chaos                                                     every class, in the short form
.venv/bin/python -m benchmarks.chaos --kills 1000 --class worker --seed 7

__main__   the command            arena     one class: the service, its work, the faults, the verdict
stack      the processes          work      what is evaluated, and what must come out of it
servers    broker and database    watch     looks into the database while it happens
proxy      a broken network       checks    the promises, once it is over
faults/    what goes wrong: a module a kind
"""
