"""The page at `/` and what it is made of. It holds nothing of anybody's: it asks the API, as every caller does."""

import os
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service import examples, page

router = APIRouter(include_in_schema=False)
# May be kept, but is asked after each time: files of one version must not mix with another's.
FRESH = {"Cache-Control": "no-cache"}


class Files(StaticFiles):
    """The files of a folder whose names end so, and none besides: the folder is a package."""

    def __init__(self, folder: Path, *endings: str) -> None:
        super().__init__(directory=folder)
        self._endings = endings

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Where a file lies, if it is one of these."""
        return super().lookup_path(path) if path.endswith(self._endings) else ("", None)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One file."""
        answer = await super().get_response(path, scope)
        answer.headers.update(FRESH)
        return answer


@router.api_route("/", methods=["GET", "HEAD"])
async def show() -> FileResponse:
    """The page."""
    return FileResponse(page.INDEX, headers=FRESH)


def mount(app: FastAPI) -> None:
    """Serve the page, its files, and the two shipped networks for who has none at hand."""
    app.include_router(router)
    app.mount("/page/examples", Files(examples.FOLDER, ".onnx", ".npz"), name="examples")
    app.mount("/page", Files(page.FOLDER, ".css", ".js", ".svg"), name="page")
