"""`lesion keys`: who may call, and how much. Works on the database itself, so that the first key can be made."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from service import problems, terminal, usage
from service.schemas import DAY, SCOPES, Scope

if TYPE_CHECKING:  # each command imports what it runs; SQLAlchemy would cost every command of `lesion`
    from sqlalchemy.orm import Session

# A pipeline that is judged by a policy must not be able to soften it; figures are not of one tenant's things.
ORDINARY = [scope for scope in SCOPES if scope not in ("policies:write", "metrics:read", "admin")]

app = typer.Typer(
    help="Make, list, rotate and revoke keys, in the database that LESION_DATABASE_URL or --data names.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Data = Annotated[Path | None, typer.Option("--data", file_okay=False, help="Folder of the service's data.")]
Tenant = Annotated[str, typer.Option(metavar="NAME", help="Whose key; a tenant sees its own things only.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="As `lesion keys list` shows it.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for, such as a pipeline.")],
    tenant: Tenant = "default",
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help=f"What it allows: {', '.join(SCOPES)}. Repeatable. "
            "(default: all but policies:write, metrics:read and admin)"
        ),
    ] = None,
    days: Annotated[float | None, typer.Option(min=0, help="Days until it expires. (default: it does not)")] = None,
    data: Data = None,
) -> None:
    """Make a key and print it: this once, to stdout. A tenant that is not there is made."""
    from service.store import keys, tenants

    scopes = _known(scope or list(ORDINARY))
    with _database(data) as db:
        owner = tenants.ensure(db, tenant).id
        made = keys.create(db, owner, name[:100], scopes, None if days is None else days * DAY)
    _say(f"Key {made.row.id} of tenant {tenant}: {', '.join(sorted(scopes))}. It is shown this once:")
    typer.echo(made.secret)


@app.command("list")
def list_(data: Data = None) -> None:
    """List all keys of all tenants, newest first; no secret is among them."""
    from rich.table import Table
    from sqlalchemy import select

    from service.store import keys, tenants
    from service.store.session import clock

    table = Table("id", "tenant", "name", "state", "scopes", "expires", "last used", box=None)
    with _database(data) as db:
        now = db.scalar(select(clock())) or 0.0
        for tenant in tenants.every(db):
            for row in keys.page(db, tenant.id, limit=10_000):
                scopes = " ".join(sorted(keys.scopes(row)))
                cells = (row.id, tenant.name, row.name, keys.state(row, now), scopes)
                table.add_row(*map(terminal.visible, cells), _day(row.expires_at), _day(row.last_used_at))
    terminal.console().print(table)


@app.command()
def rotate(
    id: Id,
    overlap_hours: Annotated[float, typer.Option(min=0, max=720, help="Hours for which the old key still works.")] = 24,
    data: Data = None,
) -> None:
    """Replace a key by a new one, which is printed to stdout, and let the old one end."""
    from service.store import keys

    with _database(data) as db:
        made = keys.rotate(db, _owner(db, id), id, overlap_hours * 3600)
    _say(f"Key {made.row.id} replaces {id}, which works for {overlap_hours:g} h more. It is shown this once:")
    typer.echo(made.secret)


@app.command()
def revoke(id: Id, data: Data = None) -> None:
    """Let a key open nothing any more; running services know within two seconds."""
    from service.store import keys

    with _database(data) as db:
        keys.revoke(db, _owner(db, id), id)
    _say(f"Key {id} is revoked.")


@app.command()
def quota(
    tenant: Annotated[str, typer.Argument(metavar="TENANT")],
    evaluations: Annotated[int | None, typer.Option(min=0, help="Queued and running at once.")] = None,
    stored_bytes: Annotated[int | None, typer.Option("--bytes", min=0, help="Stored in all.")] = None,
    data: Data = None,
) -> None:
    """Set what a tenant may have; what is not given is as the settings say."""
    from service.store import tenants

    with _database(data) as db:
        if (row := tenants.named(db, tenant)) is None:
            usage.fail(f"There is no tenant {tenant!r}; a key made with `--tenant {tenant}` makes it.", usage.USAGE)
        tenants.limit(db, row.id, max_evaluations=evaluations, max_bytes=stored_bytes)
    _say(f"Tenant {tenant}: {_or_default(evaluations)} evaluations, {_or_default(stored_bytes)} bytes.")


@contextmanager
def _database(data: Path | None) -> "Iterator[Session]":
    from sqlalchemy.exc import SQLAlchemyError

    from service.store import session

    engine = session.connect(usage.settings(data=data).database)
    try:
        session.migrate(engine)
        with session.transaction(engine) as db:
            yield db
    except problems.Problem as problem:
        usage.fail(problem.detail, usage.USAGE)
    except (SQLAlchemyError, OSError) as error:
        usage.fail(f"The database does not answer: {error}", usage.CANNOT_START)
    finally:
        engine.dispose()


def _owner(db: "Session", id: str) -> str:
    from service.store.tables import KeyRow

    row = db.get(KeyRow, id)
    if row is None:
        usage.fail(f"There is no key {id!r}; `lesion keys list` shows those there are.", usage.USAGE)
    return row.tenant


def _known(scopes: list[str]) -> list[Scope]:
    for scope in scopes:
        if scope not in SCOPES:
            usage.fail(f"There is no scope {scope!r}; there are {', '.join(SCOPES)}.", usage.USAGE)
    return cast("list[Scope]", scopes)


def _say(text: str) -> None:
    """To stderr: stdout is the secret's alone, for `KEY=$(lesion keys create ci)`."""
    terminal.console(stderr=True).print(terminal.visible(text), soft_wrap=True)


def _day(seconds: float | None) -> str:
    return "never" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _or_default(number: int | None) -> str:
    return "as the settings say" if number is None else f"{number:,}"
