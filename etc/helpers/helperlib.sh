# shellcheck shell=sh
# What the helpers in POSIX sh have in common: checks of arguments, a locked
# state file, and the lines of the persistent protocol. Not run by itself;
# keep it beside the helpers, which read it.
#
# Exit codes of all helpers: 0 done; 1 no back end is usable; 2 wrong use;
# 3 the state file or its lock cannot be used.

export LC_ALL=C
umask 077
# Nothing here is ever meant as a pattern of file names.
set -f

program=${0##*/}
held=

# die CODE TEXT: the daemon gives helpers no standard error, so the text is for
# who tries one by hand; the code is what the daemon logs.
die() {
    unlock
    printf '%s: %s\n' "$program" "$2" >&2
    exit "$1"
}

# is_name TEXT, is_address TEXT, is_number TEXT: what may go into a state file.
is_name() {
    case $1 in
    '' | [0-9]* | *[!A-Za-z0-9_]*) return 1 ;;
    esac
    [ "${#1}" -le 63 ]
}

is_address() {
    case $1 in
    *[.:]*) ;;
    *) return 1 ;;
    esac
    case $1 in
    *[!0-9A-Fa-f.:]*) return 1 ;;
    esac
    [ "${#1}" -le 45 ]
}

is_number() {
    case $1 in
    # The shell would take a leading 0 for the mark of an octal number.
    '' | *[!0-9]* | 0?*) return 1 ;;
    esac
    [ "${#1}" -le 18 ]
}

# check_candidates NAME:USABLE[:WEIGHT]...: dies where one is of another form.
check_candidates() {
    [ "$#" -gt 0 ] || die 2 'no back ends given; accepted: NAME:USABLE..., as %1b:%1a %2b:%2a'
    for candidate; do
        usable=${candidate#*:}
        case $usable in
        [01]) ;;
        [01]:*) is_number "${usable#*:}" || usable= ;;
        *) usable= ;;
        esac
        if [ -z "$usable" ] || ! is_name "${candidate%%:*}"; then
            die 2 "back end \`$candidate\`; accepted: NAME:USABLE or NAME:USABLE:WEIGHT, as %1b:%1a"
        fi
    done
}

# use_state FILE: makes it the state file of this run.
use_state() {
    case $1 in
    '') die 2 'the name of the state file is empty' ;;
    -*) state=./$1 ;;
    *) state=$1 ;;
    esac
    case $state in
    */*) directory=${state%/*}/ ;;
    *) directory=./ ;;
    esac
    [ ! -d "$state" ] || die 3 "$state: is a directory; accepted: the name of a file"
    [ -d "$directory" ] || die 3 "$state: there is no directory $directory; make it first"
    [ -w "$directory" ] || die 3 "$directory: may not be written to by this account"
}

# The lock of FILE is the symbolic link FILE.lock, which points to the words
# `pid:PID:TIME`. A link comes into being together with its owner's number, so
# there is no moment at which a lock has no owner; a directory would have one.
#
# Who finds the owner dead, or the lock too old, removes it, but only while he
# holds FILE.lock.steal, a lock of the same kind: otherwise the slower of two
# who saw the same dead owner would remove the fresh lock of the faster one.

# Seconds after which an owner counts as gone although its number is in use
# again. The daemon lets no hook live longer than 62.
lock_age=75

# lock SECONDS: waits so long for the lock of the state file, or dies.
lock() {
    now=$(date +%s)
    give_up=$((now + $1))
    looks=0
    trap 'unlock; exit 143' HUP INT TERM
    until take "$state.lock"; do
        looks=$((looks + 1))
        if [ "$((looks % 10))" -eq 1 ]; then
            now=$(date +%s)
            [ "$now" -le "$give_up" ] || die 3 "$state.lock: not free within $1 seconds"
            if [ -e "$state.lock" ] && [ ! -L "$state.lock" ]; then
                die 3 "$state.lock: is a file, as the Python helpers have it; use one kind for one state file"
            fi
            break_dead "$state.lock"
        fi
        [ ! -L "$state.lock" ] || pause "$looks"
    done
    held=$state.lock
}

# pause LOOKS: a while until the next look, longer the more there were: each is
# a process, and a hundred who look all the time leave the owner no processor.
pause() {
    case $1 in
    [1-4]) sleep 0.02 ;;
    [5-9]) sleep 0.05 ;;
    *) sleep 0.1 ;;
    esac 2>/dev/null || sleep 1
}

# unlock: gives the lock back, if there is one.
unlock() {
    if [ -n "$held" ]; then
        rm -f -- "$held"
        held=
        trap - HUP INT TERM
    fi
}

# take LOCK: one attempt. Only a lock that seems free is worth a process; and
# `ln` would put its link into a directory of that name, and be content.
take() {
    if [ -L "$1" ] || [ -e "$1" ]; then
        return 1
    fi
    ln -s "pid:$$:$now" "$1" 2>/dev/null
}

# break_dead LOCK: removes it if its owner is dead.
break_dead() {
    is_dead "$1" || return 0
    if take "$1.steal"; then
        # Looked at again: only the holder of the second lock removes the first.
        if is_dead "$1"; then
            rm -f -- "$1"
        fi
        rm -f -- "$1.steal"
    else
        break_dead "$1.steal"
    fi
}

# is_dead LOCK: whether it is there and nobody can be holding it. It is read
# again after its owner was found dead: an owner that was alive at the first
# look may have given it back before it ended, and the lock is another one's.
is_dead() {
    seen=$(readlink "$1") || return 1
    owner_is_gone "$seen" && [ "$(readlink "$1")" = "$seen" ]
}

# owner_is_gone WORDS: whether nobody holds a lock that points to WORDS.
owner_is_gone() {
    taken=${1##*:}
    owner=${1#pid:}
    owner=${owner%:*}
    if ! is_number "$owner" || ! is_number "$taken"; then
        return 0
    fi
    # `date` of others may have been a little ahead of ours; far ahead is a
    # clock that was set back.
    [ "$((now - taken))" -gt "$lock_age" ] || [ "$((taken - now))" -gt "$lock_age" ] ||
        ! kill -0 "$owner" 2>/dev/null || is_zombie "$owner"
}

# is_zombie PID: whether it has ended and only nobody took notice yet, as happens
# to orphans in a container whose first process does not look after them.
is_zombie() {
    { read -r _ _ condition _ <"/proc/$1/stat"; } 2>/dev/null && [ "$condition" = Z ]
}

# put_in_place: makes FILE.new the state file. Under the lock; whoever is
# killed before leaves the old file whole.
put_in_place() {
    mv -f -- "$state.new" "$state" || die 3 "$state: cannot be replaced"
}

# read_request LINE: takes a line of the protocol apart. Succeeds if it is a
# whole JSON object of version 1, and then sets `type`, and as far as they are
# there `id`, `since` (its time, in whole seconds), `client`, `backend`, and
# `backends`: words NAME:USABLE:ACTIVE:WEIGHT.
read_request() {
    v='' type='' id='' since='' client='' backend='' backends='' tried=' '
    name='' usable=0 active=0 weight=1
    walk "$1" && [ "$v" = 1 ]
}

# shellcheck disable=SC2034 # They are for the program that reads this file.
#
# found PATH VALUE: what `walk` comes across; fails for what cannot be.
found() {
    case $1 in
    .v) v=$2 ;;
    .type) type=$2 ;;
    .id) is_number "$2" && id=$2 ;;
    .time) is_number "${2%%.*}" && since=${2%%.*} ;;
    .client) is_address "$2" && client=$2 ;;
    .backend) is_name "$2" && backend=$2 ;;
    '.tried[]') is_name "$2" && tried="$tried$2 " ;;
    '.backends[].name') is_name "$2" && name=$2 ;;
    '.backends[].usable') [ "$2" != true ] || usable=1 ;;
    '.backends[].active') is_number "$2" && active=$2 ;;
    '.backends[].weight') is_number "$2" && weight=$2 ;;
    esac
}

# ended PATH: the object at PATH is complete.
ended() {
    if [ "$1" = '.backends[]' ]; then
        [ -n "$name" ] || return 1
        backends="$backends $name:$usable:$active:$weight"
        name='' usable=0 active=0 weight=1
    fi
}

# untried: marks those of `backends` that were tried as not usable. Afterwards,
# since `tried` may stand behind them in the line.
untried() {
    marked=
    for entry in $backends; do
        case $tried in
        *" ${entry%%:*} "*) entry=${entry%%:*}:0:${entry#*:*:} ;;
        esac
        marked="$marked $entry"
    done
    backends=$marked
}

blank=' 	'
word_end="[],}$blank]*"

# walk JSON: calls `found PATH VALUE` for each string, number and word, and
# `ended PATH` for each object; PATH is like `.backends[].name`. Fails for a
# text that is broken off or is no JSON.
walk() {
    rest=$1 at='' open='' want=value
    case $rest in
    # A name or an address needs no escapes; in a field that we do not know
    # they must only not hide where its text ends.
    *\\*) rest=$(printf '%s\n' "$rest" | sed 's/\\./_/g') ;;
    esac
    while :; do
        rest=${rest#"${rest%%[!"$blank"]*}"}
        case $want$rest in
        value'{'*) open="{$open" want=first ;;
        value'['*) open="[$open" at="${at}[]" want=element ;;
        first'}'* | next'}'*)
            [ "$want" = first ] || at=${at%.*}
            close '{' && ended "$at" || return 1
            ;;
        element']'* | next']'*) at=${at%"[]"} && close '[' || return 1 ;;
        element?*) want=value && continue ;;
        next,*)
            case $open in
            '{'*) at=${at%.*} want=key ;;
            '['*) want=value ;;
            *) return 1 ;;
            esac
            ;;
        colon:*) want=value ;;
        first'"'*'"'* | key'"'*'"'* | value'"'*'"'*) text && continue || return 1 ;;
        value[-0-9tfn]*)
            # shellcheck disable=SC2295 # It is a pattern.
            word=${rest%%$word_end}
            rest=${rest#"$word"} want=next
            found "$at" "$word" && continue || return 1
            ;;
        next) [ -z "$open" ] && return 0 || return 1 ;;
        *) return 1 ;;
        esac
        rest=${rest#?}
    done
}

# close BRACKET: goes up one level, if it was opened with BRACKET.
close() {
    case $open in
    "$1"*) open=${open#?} want=next ;;
    *) return 1 ;;
    esac
}

# text: takes a string from the front of `rest`, a key or a value.
text() {
    rest=${rest#\"}
    string=${rest%%\"*}
    rest=${rest#*\"}
    if [ "$want" = value ]; then
        want=next
        found "$at" "$string"
        return
    fi
    case $string in
    # Such a key is none of ours, and must not look like a path.
    '' | *[!A-Za-z0-9_]*) string=_ ;;
    esac
    at=$at.$string want=colon
}
