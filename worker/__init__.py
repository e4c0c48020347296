"""What computes: Celery tasks, the runner that drives an evaluation, and the child processes that hold hostile files.

    tasks ─► runner | inspector ─► sandbox (a child process) ─► formats | ablation

Only tasks, runner, inspector, course, heart, pulse and scratch know of `service`; what runs in a child knows no secret.
"""
