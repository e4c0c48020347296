"""GET of metrics, for Prometheus. They tell of all tenants together, so a key needs a scope of its own."""

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from service.api.deps import Caller, Responses, may

router = APIRouter(tags=["service"])
TEXT: Responses = {200: {"description": "In Prometheus's text format.", "content": {"text/plain": {}}}}


@router.get("/metrics", response_class=Response, responses=TEXT)
def show(request: Request, _caller: Annotated[Caller, may("metrics:read")]) -> Response:
    """Give figures for Prometheus: of all tenants' evaluations, queue, workers, webhooks, and the API's requests.

    Without keys, where the service listens on loopback alone, any local program may read them.
    """
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)
