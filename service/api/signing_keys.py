"""The keys that results are signed with, for whoever checks them."""

from fastapi import APIRouter

from service import schemas
from service.api.deps import PUBLIC, Used

router = APIRouter(prefix="/v1/signing-keys", tags=["evaluations"])


@router.get("", openapi_extra=PUBLIC)
def list_(backends: Used) -> schemas.SigningKeys:
    """List the public keys; save the answer, and give it to `lesion verify --key`."""
    return schemas.SigningKeys(data=[backends.signer.published()])
