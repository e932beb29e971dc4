"""What ``git`` is told so that no setting of a checkout runs a program, or changes an answer."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

# Inside a hook git sets these for the hook's own repository; they would override `-C`. And those
# that change what a path or a setting means: our paths and settings are written for plain git.
_REPOSITORY_VARIABLES = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE", "GIT_CEILING_DIRECTORIES",
    "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
    "GIT_CONFIG", "GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE",
    "GIT_REPLACE_REF_BASE", "GIT_QUARANTINE_PATH",
)  # fmt: skip

#: Where the objects of a push wait until its hook has agreed; while it is set, git moves no ref.
QUARANTINE = "GIT_QUARANTINE_PATH"

#: Nothing is asked, locked, or fetched: a partial clone has what it has.
QUIET = {
    "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1",
}  # fmt: skip

# Settings that make git run a program. A checkout that somebody packed up brings its own
# `.git/config`, and reading decisions must not run what it says.
_SAFE_SETTINGS = (
    "core.quotePath=false", "core.fsmonitor=false", f"core.hooksPath={os.devnull}",
    "core.pager=cat", "core.askPass=", "core.sshCommand=false", "core.gitProxy=",
    "credential.helper=", "diff.external=", "log.showSignature=false", "protocol.ext.allow=never",
    "safe.bareRepository=explicit", "submodule.recurse=false", "diff.ignoreSubmodules=all",
    # And those under which its output is another one, or rests on one more file of the checkout.
    "i18n.logOutputEncoding=UTF-8", "log.diffMerges=separate", "log.mailmap=false",
    f"diff.orderFile={os.devnull}",
)  # fmt: skip
# Of the checkout's own settings: those that name programs, and those that name files to be read,
# which may be pipes.
PROGRAM = re.compile(
    r"(?:filter\..*\.(?:clean|smudge|process)|diff\..*\.(?:command|textconv)|merge\..*\.driver"
    r"|gpg\.(?:.*\.)?program|remote\..*\.(?:uploadpack|receivepack|vcs)"
    r"|credential\.(?:.*\.)?helper|uploadpack\.packobjectshook"
    r"|core\.(?:alternaterefscommand|gitproxy|sshcommand|askpass|editor|pager)"
    r"|core\.(?:excludesfile|attributesfile)|blame\.ignorerevsfile|mailmap\.(?:file|blob))",
    re.IGNORECASE | re.DOTALL,
)


# What the system takes for arguments and environment has an end; no project comes near this one.
MAX_OVERRIDES = 30_000


def repository_environment(extra: Sequence[str] = ()) -> dict[str, str]:
    """The environment without what would lead git elsewhere; the settings ``extra`` are made
    empty, after those that the environment holds itself.

    ``-c`` ends a name at its first ``=``, and a section may have one in its name. What a push
    brings is there to be read before its hook has agreed; objects have the same name everywhere.
    """
    found = {k: v for k, v in os.environ.items() if k not in _REPOSITORY_VARIABLES}
    if waiting := os.environ.get(QUARANTINE):
        if os.pathsep in waiting or waiting.startswith('"'):
            waiting = '"{}"'.format(waiting.replace("\\", "\\\\").replace('"', '\\"'))
        others = found.get("GIT_ALTERNATE_OBJECT_DIRECTORIES")
        found["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = os.pathsep.join(filter(None, (waiting, others)))
    if extra:
        held = found.get("GIT_CONFIG_COUNT", "")
        count = int(held) if re.fullmatch("[0-9]{1,6}", held) else 0
        for at, key in enumerate(extra, start=count):
            found[f"GIT_CONFIG_KEY_{at}"], found[f"GIT_CONFIG_VALUE_{at}"] = key, ""
        found["GIT_CONFIG_COUNT"] = str(count + len(extra))
    return found


def safe_options() -> tuple[str, ...]:
    """Options for ``git`` under which no setting of a repository runs a program."""
    return tuple(part for setting in _SAFE_SETTINGS for part in ("-c", setting))


# Code points that HFS+ leaves out of names, as git knows them (`is_hfs_dotgit`).
_IGNORED_BY_HFS = dict.fromkeys(
    (*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF)
)


def is_git_name(part: str) -> bool:
    """Whether some file system takes one part of a path for ``.git``.

    Case counts nowhere, HFS+ leaves code points out, and NTFS has a short name, streams behind a
    colon, and neither blanks nor dots at the end.
    """
    name = part.translate(_IGNORED_BY_HFS).casefold()
    for way in (name, *name.split("\\")):
        if way.split(":")[0].rstrip(". ") in (".git", "git~1"):
            return True
    return False
