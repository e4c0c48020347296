"""The wall: a child process that holds hostile files, the messages to and from it, and its limits.

Knows nothing of `service`, so the child's code cannot reach a setting, a database or a label.
"""
