"""Routes for the rooms' scripts, and for weights of models that run in the browser.

No other file can be reached through these routes.
"""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.staticfiles import StaticFiles

from shared.catalog import Catalog
from shared.errors import GalleryError
from shared.settings import ROOT

# Set explicitly: Python's guess depends on the system, and browsers refuse scripts of other types.
MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".safetensors": "application/octet-stream",
    ".mp3": "audio/mpeg",
}
BROWSER_TASKS = {"latent"}  # tasks whose models are small enough to run in a browser
WEIGHT_FILES = {"config.json", "model.safetensors", "directions.json"}


def create_asset_routes(catalog: Catalog, rooms: Path = ROOT / "demos") -> list[BaseRoute]:
    """Make the routes of scripts and weights; any other path gives 404.

    ``rooms/<slug>/<file>`` is ``demos/<slug>/browser/<file>``. ``weights/<task>/<name>/<file>`` is
    a file of the checkpoint that would be loaded for ``<task>/<name>``. Browsers cache both and
    revalidate them each time.

    Args:
        catalog: Finds the checkpoints.
        rooms: Folder of the rooms.
    """
    settings = catalog.settings

    async def send_script(request: Request) -> Response:
        slug, file = request.path_params["slug"], request.path_params["file"]
        if not slug.isidentifier():
            raise HTTPException(404)
        return await _send(rooms / slug / "browser", file, request)

    async def send_weights(request: Request) -> Response:
        task, name, file = (request.path_params[part] for part in ("task", "name", "file"))
        if task not in BROWSER_TASKS or file not in WEIGHT_FILES:
            raise HTTPException(404)
        try:
            spec = catalog.get(f"{task}/{name}")
            if not spec.is_here(settings):  # opening a page must not start a download
                raise HTTPException(404)
            folder = spec.fetch(settings, lambda *_: None)
        except GalleryError as error:
            raise HTTPException(404) from error
        # In the hub cache these files are symbolic links. Safe: ``file`` is a known name.
        return await _send(folder, file, request, follow_symlink=True)

    return [
        Route("/rooms/{slug}/{file}", send_script),
        Route("/weights/{task}/{name}/{file}", send_weights),
    ]


async def _send(
    folder: Path, file: str, request: Request, *, follow_symlink: bool = False
) -> Response:
    """Answer with ``file`` of ``folder``, with 304 if it has not changed, or with 404."""
    media_type = MEDIA_TYPES.get(Path(file).suffix)
    if not media_type or not folder.is_dir():
        raise HTTPException(404)
    files = StaticFiles(directory=folder, follow_symlink=follow_symlink)
    response = await files.get_response(file, request.scope)
    response.headers["Cache-Control"] = "no-cache"  # cache, but revalidate
    if response.status_code == 200:
        response.headers["Content-Type"] = media_type
    return response
