#!/usr/bin/env python3
"""A dispatcher that takes one back end after the other.

It does what `dispatchmode roundrobin` does: a pattern for dispatchers of your
own. Classic, run once for each client:

    dispatchmode externalhandler /usr/local/lib/crossroads/roundrobin.py
        /var/lib/crossroads/web.last %1b:%1a %2b:%2a %3b:%3a;

Persistent, one process that answers for all clients:

    dispatchmode externalhandler persistent
        /usr/local/lib/crossroads/roundrobin.py --persistent;

A persistent one may be given a state file too; then it goes on where it was
after a restart.

Files: STATEFILE has one line, the name that was given last. STATEFILE.lock is
empty and stays; STATEFILE.new exists for moments. Their directory should be
closed to other accounts. Needs helperlib.py beside it.

Exit codes: 0 a name was written, or the requests have ended; 1 no back end is
usable; 2 wrong use; 3 the state file cannot be used.
"""

import sys

# Nothing but the state belongs to what runs here.
sys.dont_write_bytecode = True
import helperlib  # noqa: E402

USAGE = """usage: roundrobin.py STATEFILE NAME:USABLE...
       roundrobin.py --persistent [STATEFILE]"""


def choose(last, backends):
    """The first usable back end behind `last`, or from the beginning; None if none is."""
    names = [backend.name for backend in backends]
    start = names.index(last) + 1 if last in names else 0
    in_turn = backends[start:] + backends[:start]
    return next((backend.name for backend in in_turn if backend.usable), None)


def choose_by_state(state, backends):
    """The same, with `last` from the file; one that holds no such name is a beginning."""
    with state.locked(8):
        choice = choose(state.read().strip(), backends)
        if choice is not None:
            state.replace(choice + "\n")
    return choice


def persist(state):
    """Answers requests until their end."""
    last = None
    for request in helperlib.requests():
        if request.type != "dispatch" or request.id is None:
            continue
        backends = request.candidates()
        choice = choose_by_state(state, backends) if state else choose(last, backends)
        last = choice or last
        request.answer(choice)
    return 0


def main(words):
    if words[:1] == ["--persistent"] and len(words) <= 2:
        return persist(helperlib.StateFile(words[1]) if len(words) == 2 else None)
    if not words or words[0].startswith("--"):
        raise helperlib.HelperError(2, USAGE)
    backends = helperlib.candidates(words[1:])
    choice = choose_by_state(helperlib.StateFile(words[0]), backends)
    if choice is None:
        return 1
    helperlib.say(choice)
    return 0


helperlib.run(main)
