#!/usr/bin/env python3
"""Keeps each client on the machine it had before.

A farm of desktops wants it so: who was cut off finds the same desktop again.
New clients get the machine with the least to do, counted by its weight.

    desktop-farm.py [-t SECONDS] dispatch STATEFILE CLIENT NAME:USABLE[:WEIGHT]...
    desktop-farm.py [-t SECONDS] start STATEFILE CLIENT NAME [TIME]
    desktop-farm.py [-t SECONDS] end STATEFILE CLIENT NAME
    desktop-farm.py [-t SECONDS] persistent STATEFILE

`dispatch` is for `dispatchmode externalhandler`, `start` and `end` for the
`onstart` and `onend` of each back end: see etc/desktop-farm.conf. `persistent`
does all three in one process, for `externalhandler persistent` and `onevents`:
see etc/desktop-farm-persistent.conf.

TIME is that of the start, %e. Hooks of several connections run beside each
other: one that is late must not take a client back to a machine that it has
left since.

A client without open sessions is forgotten SECONDS after it was last seen (-t,
default 28800, 8 hours), any client after 21 times that: the ends of its sessions
were lost, as when a daemon is killed. If the machine of a client is not usable
it gets another one and is remembered there. At most 10000 clients are
remembered; those seen longest ago without a session make room.

Files: STATEFILE has a line for each client: address, back end, open sessions,
last seen (seconds since 1970). Lines of another form are dropped. STATEFILE.lock
is empty and stays; STATEFILE.new exists for moments. Their directory should be
closed to other accounts. Needs helperlib.py beside it.

Exit codes: 0 done; 1 no back end is usable; 2 wrong use; 3 the state file
cannot be used.
"""

import re
import sys
import time

# Nothing but the state belongs to what runs here.
sys.dont_write_bytecode = True
import helperlib  # noqa: E402

USAGE = """usage: desktop-farm.py [-t SECONDS] dispatch STATEFILE CLIENT NAME:USABLE[:WEIGHT]...
       desktop-farm.py [-t SECONDS] start STATEFILE CLIENT NAME [TIME]
       desktop-farm.py [-t SECONDS] end STATEFILE CLIENT NAME
       desktop-farm.py [-t SECONDS] persistent STATEFILE"""

LIMIT = 10_000
HEAD = "# client, back end, open sessions, last seen\n"
LINE = re.compile(r"([0-9A-Fa-f.:]{1,45}) ([A-Za-z_][A-Za-z0-9_]{0,62}) ([0-9]{1,6}) ([0-9]{1,11})")


class Place:
    """Where a client is at home, how many sessions it has there, and when it was
    last seen, in seconds since 1970."""

    def __init__(self, backend, sessions, seen):
        self.backend = backend
        self.sessions = sessions
        self.seen = seen


class Farm:
    """The clients that are remembered at the time `now`."""

    def __init__(self, text, now, timeout):
        self.now = now
        self.places = {}
        for match in filter(None, map(LINE.fullmatch, text.splitlines())):
            # Seen in the future: the clock was set back.
            place = Place(match[2], int(match[3]), min(int(match[4]), now))
            age = now - place.seen
            forgotten = age > 21 * timeout or (age > timeout and not place.sessions)
            if not forgotten and len(self.places) < LIMIT:
                self.places.setdefault(match[1], place)

    def text(self):
        """What the state file shall hold."""
        return HEAD + "".join(
            f"{client} {place.backend} {place.sessions} {place.seen}\n"
            for client, place in self.places.items()
        )

    def dispatch(self, client, backends):
        """The machine for `client`, which is remembered there; None if none is usable."""
        usable = [backend for backend in backends if backend.usable]
        had = self.places.get(client)
        if had and any(backend.name == had.backend for backend in usable):
            had.seen = self.now
            return had.backend
        if not usable:
            return None
        choice = min(usable, key=self._load).name
        self._remember(client, Place(choice, 0, self.now))
        return choice

    def start(self, client, backend, since):
        """A session of `client` began at `backend`, whoever chose it, at the time
        `since`, if that is known."""
        had = self.places.get(client)
        if had and had.backend == backend:
            self._remember(client, Place(backend, had.sessions + 1, self.now))
        elif had is None or since is None or since >= had.seen:
            self._remember(client, Place(backend, 1, self.now))

    def end(self, client, backend):
        """A session ended. At a machine that is no longer the client's, it counts no more."""
        had = self.places.get(client)
        if had and had.backend == backend:
            self._remember(client, Place(backend, max(had.sessions - 1, 0), self.now))

    def _load(self, backend):
        # Sessions first; then clients that may come back, or two that arrive
        # together would get the same machine.
        here = [place for place in self.places.values() if place.backend == backend.name]
        active = backend.active
        if active is None:
            active = sum(place.sessions for place in here)
        return ((active + 1) * backend.weight, (len(here) + 1) * backend.weight)

    def _remember(self, client, place):
        if client not in self.places and len(self.places) >= LIMIT:
            idle = [entry for entry in self.places.items() if not entry[1].sessions]
            if idle:
                del self.places[min(idle, key=lambda entry: entry[1].seen)[0]]
        self.places[client] = place


class Desk:
    """The farm in its state file."""

    def __init__(self, path, timeout):
        self.state = helperlib.StateFile(path)
        self.timeout = timeout

    def apply(self, seconds, event):
        """Lets `event` change the farm under the lock, for which it waits `seconds`."""
        with self.state.locked(seconds):
            farm = Farm(self.state.read(), int(time.time()), self.timeout)
            result = event(farm)
            self.state.replace(farm.text())
        return result

    def persist(self):
        """Takes events until their end."""
        for request in helperlib.requests():
            client, backend = request.client, request.backend
            if client is None:
                continue
            if request.type == "dispatch" and request.id is not None:
                backends = request.candidates()
                request.answer(self.apply(8, lambda farm: farm.dispatch(client, backends)))
            elif request.type == "start" and backend:
                since = request.since
                self.apply(8, lambda farm: farm.start(client, backend, since))
            elif request.type == "end" and backend:
                self.apply(8, lambda farm: farm.end(client, backend))
        return 0


def main(words):
    timeout = 28800
    if words[:1] == ["-t"]:
        timeout = seconds(words[1:2])
        words = words[2:]
    if len(words) == 2 and words[0] == "persistent":
        return Desk(words[1], timeout).persist()
    if len(words) < 3 or words[0] not in ("dispatch", "start", "end"):
        raise helperlib.HelperError(2, USAGE)
    command, path, client, *rest = words
    if not helperlib.is_address(client):
        raise helperlib.HelperError(2, f"client `{client}`; accepted: an IP address, as %r")
    desk = Desk(path, timeout)
    if command == "dispatch":
        return dispatch(desk, client, helperlib.candidates(rest))
    if len(rest) not in ((1, 2) if command == "start" else (1,)):
        raise helperlib.HelperError(2, USAGE)
    return hook(desk, command, client, *rest)


def hook(desk, command, client, backend, since=None):
    """The classic `start` and `end`."""
    if since is not None and not re.fullmatch("[1-9][0-9]{0,10}", since, re.ASCII):
        raise helperlib.HelperError(2, f"time `{since}`; accepted: seconds since 1970, as %e")
    if not helperlib.is_name(backend):
        raise helperlib.HelperError(2, f"back end `{backend}`; accepted: a name, as %b")
    began = None if since is None else int(since)
    # A hook has more time than a handler, and its event would be lost.
    if command == "start":
        desk.apply(50, lambda farm: farm.start(client, backend, began))
    else:
        desk.apply(50, lambda farm: farm.end(client, backend))
    return 0


def seconds(words):
    """The argument of -t."""
    if not words or not re.fullmatch("[1-9][0-9]{0,5}", words[0], re.ASCII):
        raise helperlib.HelperError(2, f"-t `{' '.join(words)}`; accepted: 1 to 999999 seconds")
    return int(words[0])


def dispatch(desk, client, backends):
    """The classic form: writes the name."""
    choice = desk.apply(8, lambda farm: farm.dispatch(client, backends))
    if choice is None:
        return 1
    helperlib.say(choice)
    return 0


helperlib.run(main)
