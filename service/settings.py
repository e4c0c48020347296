"""Every setting of Lesion, read from LESION_* once, at a process's entry point, and handed down from there."""

import os
import re
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024**2
GIB = 1024**3
HOST = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
# What this user's commands need elsewhere: the key of another server, secrets of registries. No service reads them.
OF_COMMANDS = ("key", "mlflow_secret", "hugging_face_secret", "hugging_face_token", "hook_secret")
LIMIT = r"^([1-9]\d*/(second|minute|hour|day))?$"


def is_loopback(host: str) -> bool:
    """Does a name or address mean this machine alone?"""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Allowed:
    """Whom webhooks may reach although they are not public: networks, and hosts by name."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def read(cls, text: str) -> "Allowed":
        """Of `10.0.0.0/8, hooks.corp.example`; raises `ValueError` with the entry that is neither."""
        networks, hosts = [], set()
        for entry in (entry.strip().lower() for entry in text.split(",") if entry.strip()):
            try:
                networks.append(ip_network(entry))
            except ValueError:
                if not HOST.fullmatch(entry) or re.fullmatch(r"[0-9.]+", entry):
                    raise ValueError(f"{entry!r} is neither a network, such as 10.0.0.0/8, nor a host name") from None
                hosts.add(entry)
        return cls(tuple(networks), frozenset(hosts))

    def address(self, address: IPv4Address | IPv6Address) -> bool:
        """Does it lie in one of the networks?"""
        return any(address in network for network in self.networks)


class Telemetry(BaseSettings):
    """Those of OpenTelemetry's own variables that we read; its library reads the rest of them itself."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    otel_exporter_otlp_endpoint: str = ""
    otel_exporter_otlp_traces_endpoint: str = ""
    otel_sdk_disabled: bool = False
    otel_service_name: str = ""

    @property
    def wanted(self) -> bool:
        """Shall traces be sent?"""
        return bool(self.otel_exporter_otlp_endpoint or self.otel_exporter_otlp_traces_endpoint) and (
            not self.otel_sdk_disabled
        )


class Settings(BaseSettings):
    """One value a line; each is set by the environment variable of its name behind LESION_."""

    model_config = SettingsConfigDict(env_prefix="LESION_", extra="ignore", frozen=True)

    data: Path = Field(Path("lesion-data"), description="Folder for the database, uploads and scratch files.")
    database_url: str | None = Field(
        None, description="SQLAlchemy URL, such as postgresql+psycopg://…; SQLite under `data` if unset."
    )
    broker_url: str | None = Field(
        None, description="Redis or Valkey, such as redis://:password@host:6379/0; `lesion serve` starts one."
    )
    blobs_url: str | None = Field(
        None, description="Where uploads live: file:///… or s3://bucket/prefix; under `data` if unset."
    )
    signing_key: Path | None = Field(
        None,
        description="Private Ed25519 key in PEM that signs results; one is made under `data` if unset.",
    )
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port the API listens on.")
    api_processes: int = Field(1, ge=1, le=64, description="Processes of the API that share its port; a core each.")
    keys: Literal["auto", "required"] = Field(
        "auto", description="`auto`: none is needed where the API listens on loopback; `required`: one always is."
    )
    key: SecretStr | None = Field(None, description="The key that `lesion score --server` and `inspect` show.")
    mlflow_secret: SecretStr | None = Field(
        None, description="What MLflow signs webhooks to `lesion mlflow listen` with."
    )
    hugging_face_secret: SecretStr | None = Field(None, description="What Hugging Face sends in X-Webhook-Secret.")
    hugging_face_token: SecretStr | None = Field(None, description="Reads what is not public on Hugging Face.")
    hook_secret: SecretStr | None = Field(None, description="What other registries, such as W&B, sign webhooks with.")
    read_limit: str = Field("6000/minute", pattern=LIMIT, description="Reads that one key may make; empty: any number.")
    write_limit: str = Field("600/minute", pattern=LIMIT, description="Other requests that one key may make.")
    max_evaluations: int = Field(10_000, ge=0, description="Evaluations a tenant may have queued and running.")
    max_stored_bytes: int = Field(256 * GIB, ge=0, description="Bytes a tenant may have stored.")
    max_queued: int = Field(50_000, ge=0, description="Evaluations queued, of all tenants, beyond which none is taken.")
    max_model_bytes: int = Field(2 * GIB - 1, gt=0, description="Largest model; protobuf itself ends at 2 GiB.")
    max_dataset_bytes: int = Field(16 * GIB, gt=0, description="Largest dataset.")
    inspect_wait: float = Field(20, ge=0, description="Seconds an upload waits to be inspected before 202.")
    max_wait: float = Field(60, ge=0, description="Most seconds that `Prefer: wait` or `?wait=` may ask for.")
    lease_seconds: float = Field(30, gt=0, description="A worker silent for so long has lost its evaluation.")
    sweep_seconds: float = Field(5, gt=0, description="How often forgotten work is hinted at again.")
    keep_evaluations: float | None = Field(
        None, gt=0, description="Days that an ended evaluation and its result are kept; for ever if unset."
    )
    keep_uploads: float | None = Field(
        None, gt=0, description="Days that an upload is kept which nobody sends or asks about; for ever if unset."
    )
    device: Literal["cpu", "cuda", "cuda-tf32"] = Field(
        "cpu",
        description="What a worker computes on: for `cuda`, the first GPU of CUDA_VISIBLE_DEVICES; `cuda-tf32` lets it "
        "round products to TF32. Results tell.",
    )
    device_bytes: int | None = Field(
        None,
        gt=0,
        description="Bytes of a GPU's memory that the activations of a batch may take; a quarter of what is free if "
        "unset. Equal bytes on equal GPUs give equal outputs.",
    )
    threads: int = Field(0, ge=0, description="Threads of one compute process; 0: one for each core.")
    walls: Literal["required", "offered"] = Field(
        "required", description="`offered`: a worker goes on, with a warning, where the kernel cannot wall in a child."
    )
    child_memory_bytes: int = Field(8 * GIB, gt=0, description="Memory one compute process may use.")
    child_seconds: float = Field(600, gt=0, description="Seconds one request to a compute process may take.")
    webhook_allow: str = Field(
        "",
        description="Networks and hosts that webhooks may go to although they are not public, also over http: "
        "10.0.0.0/8, hooks.corp.example.",
    )
    webhook_ca: Path | None = Field(
        None, description="PEM file of certificate authorities that webhooks trust beside the system's."
    )

    @field_validator("webhook_allow")
    @classmethod
    def _is_readable(cls, text: str) -> str:
        Allowed.read(text)
        return text

    @cached_property
    def database(self) -> str:
        """SQLAlchemy URL of the database."""
        return self.database_url or f"sqlite:///{self.data.absolute()}/lesion.db"

    @cached_property
    def open(self) -> bool:
        """May callers come without a key? Only where nobody else can come at all."""
        return self.keys == "auto" and is_loopback(self.host)

    @cached_property
    def blobs(self) -> str:
        """URL of the store of uploads."""
        return self.blobs_url or f"file://{self.data.absolute()}/blobs"

    @cached_property
    def scratch(self) -> Path:
        """Folder for files that need not outlive a process: uploads under way, inputs unpacked for a child."""
        return self.data.absolute() / "scratch"

    @cached_property
    def logs(self) -> Path:
        """Folder for what the parts of `lesion serve` say."""
        return self.data.absolute() / "logs"

    @cached_property
    def figures(self) -> Path | None:
        """Folder in which several API processes add up what they count; None for one, which counts for itself."""
        return self.scratch / "figures" if self.api_processes > 1 else None

    def variables(self) -> dict[str, str | None]:
        """All settings as variables, for a child to read as its own; what is not set must not be inherited either, nor
        what is of commands alone."""
        values = self.model_dump() | {"data": self.data.absolute()} | dict.fromkeys(OF_COMMANDS)
        return {f"LESION_{name.upper()}": None if value is None else str(value) for name, value in values.items()}

    @cached_property
    def webhooks_allowed(self) -> Allowed:
        """`webhook_allow`, read."""
        return Allowed.read(self.webhook_allow)

    @cached_property
    def compute_threads(self) -> int:
        """Threads of one compute process."""
        return self.threads or len(os.sched_getaffinity(0))
