#!/bin/sh
# A dispatcher that takes one back end after the other, as `dispatchmode
# roundrobin` does: a pattern for dispatchers of your own.
#
# Classic, run once for each client:
#
#   dispatchmode externalhandler /usr/local/lib/crossroads/roundrobin.sh
#       /var/lib/crossroads/web.last %1b:%1a %2b:%2a %3b:%3a;
#
# Persistent, one process that answers for all clients:
#
#   dispatchmode externalhandler persistent
#       /usr/local/lib/crossroads/roundrobin.sh --persistent;
#
# A persistent one may be given a state file too; then it goes on where it was
# after a restart, at the price of a few processes for each client.
#
# Files: STATEFILE has one line, the name that was given last. STATEFILE.lock
# and STATEFILE.new exist for moments. Their directory should be closed to
# other accounts. Needs helperlib.sh beside it.
#
# Exit codes: 0 a name was written, or the requests have ended; 1 no back end
# is usable; 2 wrong use; 3 the state file cannot be used.

case $0 in
*/*) . "${0%/*}/helperlib.sh" ;;
*) . ./helperlib.sh ;;
esac

usage='usage: roundrobin.sh STATEFILE NAME:USABLE...
       roundrobin.sh --persistent [STATEFILE]'

# choose LAST NAME:USABLE...: sets `choice` to the first that is usable behind
# LAST, or from the beginning; to nothing if none is.
choose() {
    last=$1
    shift
    first='' choice='' behind=
    for candidate; do
        name=${candidate%%:*}
        case ${candidate#*:} in
        1*)
            first=${first:-$name}
            [ -z "$behind" ] || choice=${choice:-$name}
            ;;
        esac
        [ "$name" != "$last" ] || behind=1
    done
    choice=${choice:-$first}
}

# choose_by_state NAME:USABLE...: the same, LAST being what the file says. A
# file that is missing or holds something else is a beginning.
choose_by_state() {
    lock 8
    last=
    if [ -f "$state" ]; then
        { read -r last <"$state"; } 2>/dev/null
        is_name "$last" || last=
    fi
    choose "$last" "$@"
    if [ -n "$choice" ]; then
        { printf '%s\n' "$choice" >"$state.new"; } 2>/dev/null || die 3 "$state.new: cannot be written"
        put_in_place
    fi
    unlock
}

# Answers requests until their end.
persist() {
    last=
    while IFS= read -r line; do
        read_request "$line" || continue
        if [ "$type" != dispatch ] || [ -z "$id" ]; then
            continue
        fi
        untried
        # Names and numbers that were checked: splitting them is meant.
        # shellcheck disable=SC2086
        if [ -n "$state" ]; then
            choose_by_state $backends
        else
            choose "$last" $backends
            last=${choice:-$last}
        fi
        # An answer that names nobody is better than none: the daemon need not
        # wait for it.
        printf '%s %s\n' "$id" "${choice:--}"
    done
    exit 0
}

case $1 in
--persistent)
    [ "$#" -le 2 ] || die 2 "$usage"
    state=
    [ "$#" -eq 1 ] || use_state "$2"
    persist
    ;;
'' | --*) die 2 "$usage" ;;
esac
use_state "$1"
shift
check_candidates "$@"
choose_by_state "$@"
[ -n "$choice" ] || exit 1
printf '%s\n' "$choice"
