"""What the helpers in Python have in common.

Checks of arguments, a locked state file, and the lines of the persistent
protocol. Not run by itself; keep it beside the helpers, which read it. Python
3.7 or later, standard library only.

Exit codes of all helpers: 0 done; 1 no back end is usable; 2 wrong use; 3 the
state file or its lock cannot be used.
"""

import contextlib
import fcntl
import json
import os
import re
import signal
import sys

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_ADDRESS = re.compile(r"(?=.*[.:])[0-9A-Fa-f.:]{1,45}")
_CANDIDATE = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,62}):([01])(?::([1-9][0-9]{0,9}))?")


class Candidate:
    """A back end as a dispatch sees it.

    `active` is the number of its connections, or None where it is not known.
    """

    def __init__(self, name, usable, active=None, weight=1):
        self.name = name
        self.usable = usable
        self.active = active
        self.weight = weight


class HelperError(Exception):
    """What ends a helper; `code` is its exit code."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def is_name(text):
    """Whether it may be the name of a back end."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def is_address(text):
    """Whether it may be the address of a client."""
    return isinstance(text, str) and _ADDRESS.fullmatch(text) is not None


def candidates(words):
    """The back ends that the arguments NAME:USABLE[:WEIGHT] describe."""
    if not words:
        raise HelperError(2, "no back ends given; accepted: NAME:USABLE..., as %1b:%1a %2b:%2a")
    found = [(word, _CANDIDATE.fullmatch(word)) for word in words]
    for word, match in found:
        if match is None:
            raise HelperError(
                2, f"back end `{word}`; accepted: NAME:USABLE or NAME:USABLE:WEIGHT, as %1b:%1a"
            )
    return [
        Candidate(match[1], match[2] == "1", weight=int(match[3] or 1)) for _, match in found
    ]


class StateFile:
    """A file of text that several processes change, one at a time.

    The lock is on a file beside it, FILE.lock, which stays: the file itself is
    replaced by each change. The system takes the lock from a process that
    ends, however it ends.
    """

    def __init__(self, path):
        if not path:
            raise HelperError(2, "the name of the state file is empty")
        self.path = path

    @contextlib.contextmanager
    def locked(self, seconds):
        """Holds the lock for the body of a `with`; waits `seconds` for it at most."""
        descriptor = self._open_lock()
        try:
            self._wait(descriptor, seconds)
            yield
        except OSError as error:
            raise HelperError(3, f"{self.path}: {error.strerror}") from error
        finally:
            os.close(descriptor)

    def read(self):
        """The text; empty if there is no file yet. What is not ASCII becomes `?`."""
        try:
            with open(self.path, encoding="ascii", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def replace(self, text):
        """Puts `text` in its place at once: who is killed before leaves the old one whole."""
        new = self.path + ".new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with open(os.open(new, flags, 0o600), "w", encoding="ascii") as file:
            file.write(text)
        os.replace(new, self.path)

    def _open_lock(self):
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        lock = self.path + ".lock"
        try:
            return os.open(lock, flags, 0o600)
        except OSError as error:
            reason = error.strerror
            if os.path.islink(lock):
                reason = "is a link, as the helpers in sh have it; use one kind for one state file"
            raise HelperError(3, f"{lock}: {reason}") from error

    def _wait(self, descriptor, seconds):
        def give_up(*_):
            raise HelperError(3, f"{self.path}.lock: not free within {seconds} seconds")

        before = signal.signal(signal.SIGALRM, give_up)
        signal.alarm(seconds)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)


class Request:
    """A line of the persistent protocol. What is missing or wrong in it is None.

    `since` is its time, in whole seconds since 1970.
    """

    def __init__(self, line):
        number = line.get("id")
        time = line.get("time")
        self.since = int(time) if type(time) in (int, float) and 0 <= time < 1e11 else None
        self.type = line.get("type")
        self.id = number if type(number) is int and number >= 0 else None
        self.client = line.get("client") if is_address(line.get("client")) else None
        self.backend = line.get("backend") if is_name(line.get("backend")) else None
        self._tried = _entries(line, "tried", str)
        self._backends = _entries(line, "backends", dict)

    def candidates(self):
        """The back ends; those that were tried already count as not usable."""
        return [
            Candidate(
                entry["name"],
                entry.get("usable") is True and entry["name"] not in self._tried,
                _number(entry.get("active"), 0),
                _number(entry.get("weight"), 1),
            )
            for entry in self._backends
            if is_name(entry.get("name"))
        ]

    def answer(self, name):
        """Names the back end for a dispatch; None names nobody, and the daemon,
        which need not wait then, chooses by itself."""
        say(f"{self.id} {name or '-'}")


def requests():
    """The lines of the standard input to its end; what is not of version 1 is left out."""
    for text in iter(sys.stdin.buffer.readline, b""):
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict) and line.get("v") == 1:
            yield Request(line)


def say(line):
    """Writes a line at once, and in one piece."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(main):
    """Calls `main` with the arguments, and ends with the exit code it gives.

    The daemon gives helpers no standard error: messages are for who tries one
    by hand, the exit code is what the daemon logs.
    """
    os.umask(0o077)
    try:
        code = main(sys.argv[1:])
    except HelperError as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        code = error.code
    except BrokenPipeError:
        # The daemon has gone; what Python still wants to write goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def _entries(line, field, kind):
    value = line.get(field)
    if not isinstance(value, list):
        return []
    return [entry for entry in value if isinstance(entry, kind)]


def _number(value, otherwise):
    return value if type(value) is int and value >= 0 else otherwise
