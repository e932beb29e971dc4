"""The embedded S3: SeaweedFS, whose gateway checks signatures, part sizes and digests for real.

One process holds master, volume server, filer and S3 gateway, each with an HTTP and a gRPC port.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from waybill.local.binaries import weed_binary
from waybill.local.certificates import CA_FILE, CERTIFICATE_FILE, KEY_FILE, ensure_certificate
from waybill.local.ports import LOOPBACK
from waybill.local.process import SupervisedProcess
from waybill.local.service import Service, ServiceContext, service_environment
from waybill.private_files import write_private

REGION = "us-east-1"
_PROBE_BUCKET = "waybill-readiness"
_PROBE_KEY = "probe"
_PROBE_SECONDS = 2.0
_REQUEST_SECONDS = 30.0

# The volume server writes its files out within a tenth of a second of SIGTERM; the filer then
# waits 15 s and longer for its own components to hang up. What it has acknowledged is in its
# files by then, so killing it loses nothing. (Measured on SeaweedFS 4.48.)
_STOP_GRACE_SECONDS = 0.3

_GRPC_PORTS = {
    "master": "seaweedfs_master_grpc",
    "volume": "seaweedfs_volume_grpc",
    "filer": "seaweedfs_filer_grpc",
    "s3": "s3_grpc",
}


class SeaweedfsService(Service):
    """SeaweedFS with its S3 gateway."""

    name = "seaweedfs"
    port_names = (
        "s3",
        "s3_grpc",
        "seaweedfs_master",
        "seaweedfs_master_grpc",
        "seaweedfs_volume",
        "seaweedfs_volume_grpc",
        "seaweedfs_filer",
        "seaweedfs_filer_grpc",
    )

    def __init__(self, context: ServiceContext) -> None:
        super().__init__(context)
        self._program = weed_binary()
        self._client: Any = None

    @property
    def endpoint_url(self) -> str:
        """The S3 gateway's address."""
        return f"http://{LOOPBACK}:{self.port('s3')}"

    def client(self, *, timeout_seconds: float = _REQUEST_SECONDS) -> Any:
        """A new boto3 S3 client.

        Args:
            timeout_seconds: how long to wait for an answer; nothing is tried twice.
        """
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=self._context.credentials.s3_access_key,
            aws_secret_access_key=self._context.credentials.s3_secret_key,
            config=Config(
                connect_timeout=timeout_seconds,
                read_timeout=timeout_seconds,
                retries={"total_max_attempts": 1},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": "path"},
                proxies={},
            ),
        )

    def ensure_bucket(self, name: str, client: Any = None) -> None:
        """Create the bucket ``name`` unless it exists.

        Args:
            name: the bucket.
            client: the boto3 client to use; one of its own when ``None``.
        """
        client = client or self.client()
        there_already = (
            client.exceptions.BucketAlreadyExists,
            client.exceptions.BucketAlreadyOwnedByYou,
        )
        with contextlib.suppress(*there_already):
            client.create_bucket(Bucket=name)

    # -- start ----------------------------------------------------------------------------------

    def _prepare(self) -> None:
        credentials = self._context.credentials
        identity = {
            "name": "waybill",
            "credentials": [
                {
                    "accessKey": credentials.s3_access_key,
                    "secretKey": credentials.s3_secret_key,
                }
            ],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        write_private(self.directory / "s3.json", json.dumps({"identities": [identity]}))
        ensure_certificate(self.directory)
        write_private(self.directory / "security.toml", self._security())
        (self.directory / "data").mkdir(exist_ok=True, mode=0o700)

    def _security(self) -> str:
        """Close the ports of master, volume server and filer to everybody but one another.

        They trust whoever reaches them, and on one machine that is every user of it: `weed backup`
        would copy all exports. So every one of them asks for the certificate, which lies in our
        directory alone. S3's own port asks for signatures.
        """
        key = self._context.credentials.seaweedfs_signing_key
        servers = ("master", "volume", "filer")
        pair = f'cert = "{CERTIFICATE_FILE}"\nkey = "{KEY_FILE}"\n'
        sections = [
            *(
                f'[jwt.{name}]\nkey = "{key}-{name}"\n'
                for name in ("signing", "signing.read", "filer_signing", "filer_signing.read")
            ),
            f'[grpc]\nca = "{CA_FILE}"\n',
            *(f"[grpc.{name}]\n{pair}" for name in (*servers, "s3", "client")),
            *(f'[https.{name}]\n{pair}ca = "{CA_FILE}"\n' for name in servers),
            f'[https.client]\nenabled = true\n{pair}ca = "{CA_FILE}"\n',
        ]
        return "".join(sections)

    def _sockets(self) -> tuple[Path, ...]:
        # Their directory is compiled in; a killed server leaves them behind.
        return tuple(
            Path(f"/tmp/seaweedfs-{component}-grpc-{self.port(port_name)}.sock")  # noqa: S108
            for component, port_name in _GRPC_PORTS.items()
        )

    def _make_process(self) -> SupervisedProcess:
        # Names are relative to the working directory: socket paths are limited to 107 bytes.
        return SupervisedProcess(
            self.name,
            [
                self._program,
                "-logtostderr=true",
                "-config_dir=.",
                "server",
                "-dir=data",
                f"-ip={LOOPBACK}",
                f"-ip.bind={LOOPBACK}",
                # One master, and it knows: no election, which takes a second and more.
                "-master.peers=none",
                # A master that resumes may win its election before it listens for the result, and
                # then hands out no volumes for 15 s. What it would resume, it learns from the
                # volume server. (Seen on SeaweedFS 4.48 on a busy machine.)
                "-master.resumeState=false",
                "-master.telemetry=false",
                f"-master.port={self.port('seaweedfs_master')}",
                f"-master.port.grpc={self.port('seaweedfs_master_grpc')}",
                # Volumes grow as they fill: small disks do, and nothing is reserved.
                "-master.volumePreallocate=false",
                "-master.volumeSizeLimitMB=1024",
                "-volume.max=1000",
                "-volume.minFreeSpace=64MiB",
                "-volume.preStopSeconds=0",
                f"-volume.port={self.port('seaweedfs_volume')}",
                f"-volume.port.grpc={self.port('seaweedfs_volume_grpc')}",
                "-filer",
                "-filer.localSocket=filer.sock",
                f"-filer.port={self.port('seaweedfs_filer')}",
                f"-filer.port.grpc={self.port('seaweedfs_filer_grpc')}",
                "-s3",
                "-s3.config=s3.json",
                "-s3.iam=false",
                "-s3.autoCreateBucket=false",
                "-s3.localSocket=s3.sock",
                f"-s3.port={self.port('s3')}",
                f"-s3.port.grpc={self.port('s3_grpc')}",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
            ],
            log_path=self.log_path,
            guard=self._context.guard,
            cwd=self.directory,
            # Two volumes a bucket instead of seven.
            env=service_environment(self.directory, WEED_MASTER_VOLUME_GROWTH_COPY_1="2"),
            grace_seconds=_STOP_GRACE_SECONDS,
            remove=self._sockets(),
        )

    def _missing(self) -> str | None:
        """Write, read and delete an object with signed requests: the gateway answers well before
        there is a volume to write to."""
        from botocore.exceptions import BotoCoreError, ClientError

        if self._client is None or self._client.meta.endpoint_url != self.endpoint_url:
            # A request that hangs in a gateway on its way up is better sent again.
            self._client = self.client(timeout_seconds=_PROBE_SECONDS)
        client = self._client
        try:
            client.list_buckets()
            self.ensure_bucket(_PROBE_BUCKET, client)
            client.put_object(Bucket=_PROBE_BUCKET, Key=_PROBE_KEY, Body=b"ready?")
            client.get_object(Bucket=_PROBE_BUCKET, Key=_PROBE_KEY)["Body"].read()
            client.delete_object(Bucket=_PROBE_BUCKET, Key=_PROBE_KEY)
        except (BotoCoreError, ClientError) as exc:
            return f"does not store objects: {type(exc).__name__}"
        return None
