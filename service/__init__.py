"""What callers talk to: the HTTP API, the truth about evaluations, and the statistics of the score.

The kernel (settings, problems, schemas, pairing, scoring, store, broker) is what the worker may import too; the rest is
the shell: app, api, sweeper, plots, client, terminal, local, demo, cli. No ML library is imported anywhere in here.
"""

__version__ = "0.1.0"
