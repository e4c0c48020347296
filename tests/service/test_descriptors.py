"""A service at its limit of open files refuses, and goes on."""

import resource
import subprocess
import sys

from service import descriptors

LOW = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 4096)); "
TELL = "print(*resource.getrlimit(resource.RLIMIT_NOFILE), descriptors.connections())"


def told(program: str) -> list[int]:
    command = [sys.executable, "-c", f"{LOW}from service import descriptors; {program}{TELL}"]
    return [int(each) for each in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]


def test_as_many_as_the_system_allows() -> None:
    """The soft limit of a shell is not ours; some descriptors are nobody's but the service's."""
    assert told("") == [64, 4096, 32]
    assert told("descriptors.raise_limit(); ") == [4096, 4096, 4096 - descriptors.KEPT]


def test_the_limit_is_read_and_not_guessed() -> None:
    """What is left for callers depends on this process."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 0 < descriptors.connections() < soft
