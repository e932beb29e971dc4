"""The command ``waybill``, started without its imports: each is a fork of a process that has done
them. Arguments, folder, environment, standard streams and status are as ever; on a busy machine a
walk through many commands takes a third of the time.

``python quick_start.py DESCRIPTOR`` serves at a socket that listens; ``program`` returns the text
of a ``waybill`` that asks there.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

_PROGRAM = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    call = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [call], [0, 1, 2])
    status = server.recv(1)
sys.exit(status[0] if status else 70)
"""
_LONGEST_CALL_BYTES = 100_000


def program(address: Path) -> str:
    """Return the text of the program."""
    return _PROGRAM.format(python=sys.executable, address=str(address))


def serve(listener: socket.socket) -> None:
    """Serve until told to stop."""
    # What commands import when they run.
    import waybill.bootstrap.commands
    import waybill.catalog.inspect
    import waybill.client
    import waybill.doctor.registry
    import waybill.migrations.run
    import waybill.requests.check_formats
    import waybill.results.verify  # noqa: F401
    from waybill.cli import main

    while True:
        caller, _ = listener.accept()
        if os.fork() == 0:
            _answer(caller, main)
        caller.close()
        _bury()


def _answer(caller: socket.socket, main: object) -> None:
    call, streams, _, _ = socket.recv_fds(caller, _LONGEST_CALL_BYTES, 3)
    arguments, folder, environment = json.loads(call)
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        caller.send(bytes([os.waitstatus_to_exitcode(status) % 256]))
        os._exit(0)
    for own, theirs in enumerate(streams):
        os.dup2(theirs, own)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["waybill", *arguments]
    status = 70
    try:
        main()  # type: ignore[operator]
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _bury() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
