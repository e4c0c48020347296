"""`lesion keys`: the first key comes out of the database itself, and commands show it to a server that asks for one."""

import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.client import Client, Refused
from service.settings import Settings
from service.store import keys, tenants
from service.store.session import connect, reading
from tests.conftest import use_broker
from tests.service.conftest import LESION, Server

SECRET = r"lsn_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A service that wants keys, without broker or worker."""
    nobody = f"redis+socket://{tmp_path}/nobody.sock"
    monkeypatch.setenv("LESION_BROKER_URL", nobody)
    use_broker(nobody)
    return Settings(data=tmp_path / "data", inspect_wait=0, keys="required")


def lesion(*arguments, fails=False):
    """Run `lesion keys` in this process; stdout and stderr."""
    result = CliRunner().invoke(app, ["keys", *map(str, arguments)])
    assert (result.exit_code != 0) is fails, result.output
    return result.stdout, result.stderr


def test_the_first_key_opens_the_service(server: Server, settings: Settings):
    """stdout is the secret and nothing else, as `KEY=$(lesion keys create ci)` wants it; the running API knows it."""
    out, err = lesion("create", "ci", "--data", settings.data)
    assert re.fullmatch(SECRET + r"\n", out)
    assert "shown this once" in err
    with Client(server.address, key=out.strip()) as client:
        assert list(client.evaluations()) == []
    with Client(server.address) as client, pytest.raises(Refused) as refused:
        list(client.evaluations())
    assert refused.value.problem["type"] == "/problems/unauthorized"


def test_keys_are_made_on_both_databases_for_tenants_that_are_made(database, monkeypatch):
    """A tenant that is named and not there is made; a key's days and scopes are what was asked."""
    monkeypatch.setenv("LESION_DATABASE_URL", database)
    out, _ = lesion("create", "gate", "--tenant", "vision", "--scope", "evaluations:read", "--days", "1")
    lesion("quota", "vision", "--evaluations", "7", "--bytes", "1000")
    engine = connect(database)
    with reading(engine) as db:
        tenant = tenants.named(db, "vision")
        assert tenant is not None
        assert (tenant.max_evaluations, tenant.max_bytes) == (7, 1000)
        known = keys.known(db, keys.hashed(out.strip()))
        assert known is not None
        assert (known.tenant, known.scopes) == (tenant.id, frozenset({"evaluations:read"}))
        assert known.lasts is not None
        assert 86_000 < known.lasts <= 86_400
    engine.dispose()


def test_list_shows_all_but_secrets(tmp_path, monkeypatch):
    """Of every tenant: whose, what for, in which state; no secret, nor its hash."""
    monkeypatch.setenv("LESION_DATA", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    secrets = [lesion("create", name, "--tenant", tenant)[0].strip() for name, tenant in (("ci", "a"), ("gate", "b"))]
    ids = [secret.split("_")[1] for secret in secrets]
    lesion("revoke", ids[0])
    out, _ = lesion("list")
    for id, words in zip(ids, (("ci", "a", "revoked"), ("gate", "b", "live")), strict=True):
        [line] = [line for line in out.splitlines() if id in line]
        assert set(words) <= set(line.split())
    for secret in secrets:
        assert secret.split("_")[2] not in out
        assert keys.hashed(secret) not in out


def test_a_rotated_key_prints_its_successor(tmp_path, monkeypatch):
    """The new secret is on stdout; both are live; another rotation of the old one says which to rotate."""
    monkeypatch.setenv("LESION_DATA", str(tmp_path))
    old = lesion("create", "ci")[0].strip().split("_")[1]
    out, err = lesion("rotate", old, "--overlap-hours", "2")
    assert re.fullmatch(SECRET + r"\n", out)
    assert "2 h more" in err
    new = out.split("_")[1]
    _, err = lesion("rotate", old, fails=True)
    assert new in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "ci", "--scope", "everything"], "evaluations:write"),
        (["revoke", "none"], "lesion keys list"),
        (["rotate", "none"], "lesion keys list"),
        (["quota", "nobody"], "--tenant nobody"),
    ],
)
def test_wrong_usage_says_what_there_is(tmp_path, monkeypatch, arguments, said):
    """An unknown scope, key or tenant is answered with those there are, or where to see them."""
    monkeypatch.setenv("LESION_DATA", str(tmp_path))
    assert said in lesion(*arguments, fails=True)[1]


def test_commands_show_the_key_of_the_environment(server: Server, settings: Settings, tmp_path, monkeypatch):
    """`lesion inspect --server` shows LESION_KEY; without one, or with a wrong one, it says what to set."""
    file = tmp_path / "model.onnx"
    file.write_bytes(b"model")
    for key, said in ((None, "Set LESION_KEY"), ("lsn_wrong", "the one in LESION_KEY")):
        monkeypatch.delenv("LESION_KEY", raising=False)
        if key is not None:
            monkeypatch.setenv("LESION_KEY", key)
        result = CliRunner().invoke(app, ["inspect", str(file), "--server", server.address])
        assert result.exit_code == 3
        assert said in result.output
    secret = lesion("create", "ci", "--data", settings.data, "--scope", "evaluations:read")[0].strip()
    monkeypatch.setenv("LESION_KEY", secret)
    result = CliRunner().invoke(app, ["inspect", str(file), "--server", server.address])
    assert result.exit_code == 3
    assert "models:write" in result.output


def test_a_service_for_everybody_starts_shut(tmp_path):
    """`lesion serve` on all addresses asks for keys, and says how to make one."""
    command = [LESION, "serve", "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        process.terminate()
        process.wait(30)
        assert "lesion keys create" in "".join(lines), process.stderr.read()
