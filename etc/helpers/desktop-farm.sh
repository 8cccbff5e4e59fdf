#!/bin/sh
# Keeps each client on the machine it had before, as a farm of desktops wants
# it: who was cut off finds the same desktop again. New clients get the machine
# with the least to do, counted by its weight.
#
#   desktop-farm.sh [-t SECONDS] dispatch STATEFILE CLIENT NAME:USABLE[:WEIGHT]...
#   desktop-farm.sh [-t SECONDS] start STATEFILE CLIENT NAME [TIME]
#   desktop-farm.sh [-t SECONDS] end STATEFILE CLIENT NAME
#   desktop-farm.sh [-t SECONDS] persistent STATEFILE
#
# `dispatch` is for `dispatchmode externalhandler`, `start` and `end` for the
# `onstart` and `onend` of each back end: see etc/desktop-farm.conf. `persistent`
# does all three in one process, for `externalhandler persistent` and `onevents`:
# see etc/desktop-farm-persistent.conf.
#
# TIME is that of the start, %e. Hooks of several connections run beside each
# other: one that is late must not take a client back to a machine that it has
# left since.
#
# A client without open sessions is forgotten SECONDS after it was last seen
# (-t, default 28800, 8 hours), any client after 21 times that: the ends of its
# sessions were lost, as when a daemon is killed. If the machine of a client is
# not usable it gets another one and is remembered there. At most 10000 clients
# are remembered; those seen longest ago without a session make room.
#
# Files: STATEFILE has a line for each client: address, back end, open sessions,
# last seen (seconds since 1970). Lines of another form are dropped. STATEFILE.lock
# and STATEFILE.new exist for moments. Their directory should be closed to other
# accounts. Needs helperlib.sh beside it.
#
# Exit codes: 0 done; 1 no back end is usable; 2 wrong use; 3 the state file
# cannot be used.

case $0 in
*/*) . "${0%/*}/helperlib.sh" ;;
*) . ./helperlib.sh ;;
esac

usage='usage: desktop-farm.sh [-t SECONDS] dispatch STATEFILE CLIENT NAME:USABLE[:WEIGHT]...
       desktop-farm.sh [-t SECONDS] start STATEFILE CLIENT NAME [TIME]
       desktop-farm.sh [-t SECONDS] end STATEFILE CLIENT NAME
       desktop-farm.sh [-t SECONDS] persistent STATEFILE'

# Reads the state, applies one event, writes the new state to FILE.new and, for
# a dispatch, the name of the machine to its output. It gets what it needs by
# the environment, where no backslash means anything.
# shellcheck disable=SC2016 # Not the shell's dollars.
farm='
function remembers() {
    return NF == 4 && length($0) <= 160 && $1 ~ /^[0-9A-Fa-f.:]+$/ &&
        $2 ~ /^[A-Za-z_][A-Za-z0-9_]*$/ && $3 ~ /^[0-9]+$/ && length($3) <= 6 &&
        $4 ~ /^[0-9]+$/ && length($4) <= 11
}

function forgotten(age, open) {
    return age > 21 * timeout || (open == 0 && age > timeout)
}

# The one with the fewest open sessions, then with the fewest clients that may
# come back; both multiplied by the weight.
function least(    i, part, weight, load, second, best, best_load, best_second) {
    best = ""
    for (i = 1; i <= backends; i++) {
        split(backend[i], part, ":")
        if (part[2] != 1) continue
        weight = part[4] == "" ? 1 : part[4]
        load = ((part[3] == "" ? busy[part[1]] : part[3]) + 1) * weight
        second = (clients[part[1]] + 1) * weight
        if (best == "" || load < best_load || (load == best_load && second < best_second)) {
            best = part[1]; best_load = load; best_second = second
        }
    }
    return best
}

function may_use(name,    i) {
    for (i = 1; i <= backends; i++)
        if (index(backend[i], name ":1:") == 1) return 1
    return 0
}

# Room for a new client, if need be at the cost of the one seen longest ago.
function make_room(    who, oldest) {
    if (count < limit) return
    for (who in place)
        if (open[who] == 0 && (oldest == "" || seen[who] + 0 < seen[oldest] + 0)) oldest = who
    if (oldest != "") { delete place[oldest]; count-- }
}

function remember(name, sessions) {
    if (!(client in place)) { make_room(); count++ }
    place[client] = name; open[client] = sessions; seen[client] = now
}

BEGIN {
    now = ENVIRON["FARM_NOW"]; timeout = ENVIRON["FARM_TIMEOUT"]; limit = 10000
    event = ENVIRON["FARM_EVENT"]; client = ENVIRON["FARM_CLIENT"]
    since = ENVIRON["FARM_SINCE"]; file = ENVIRON["FARM_FILE"]
    backends = split(ENVIRON["FARM_BACKENDS"], backend, " ")
}

remembers() && count < limit && !($1 in place) {
    # Seen in the future: the clock was set back.
    if ($4 - now > 0) $4 = now
    if (forgotten(now - $4, $3)) next
    place[$1] = $2; open[$1] = $3 + 0; seen[$1] = $4; count++
    busy[$2] += $3; clients[$2]++
}

END {
    had = client in place ? place[client] : ""
    if (event == "dispatch") {
        name = had != "" && may_use(had) ? had : least()
        if (name != "") remember(name, name == had ? open[client] : 0)
    } else {
        name = backend[1]
        if (event == "end") {
            if (name == had) remember(name, open[client] > 0 ? open[client] - 1 : 0)
        } else if (name == had) remember(name, open[client] + 1)
        else if (had == "" || since == "" || since - seen[client] >= 0) remember(name, 1)
    }
    print "# client, back end, open sessions, last seen" >file
    for (who in place) print who, place[who], open[who], seen[who] >file
    if (close(file) != 0) exit 3
    if (event == "dispatch") print name
}
'

# apply EVENT CLIENT SECONDS BACKEND...: one event under the lock, for which it
# waits SECONDS; sets `choice`. BACKEND is NAME:USABLE:ACTIVE:WEIGHT, the last
# two may be empty, or for `start` and `end` the name. The time of a start is in
# `since`, or that is empty.
apply() {
    lock "$3"
    FARM_EVENT=$1 FARM_CLIENT=$2 FARM_NOW=$(date +%s)
    shift 3
    FARM_BACKENDS=$* FARM_SINCE=$since FARM_FILE=$state.new
    export FARM_EVENT FARM_CLIENT FARM_NOW FARM_BACKENDS FARM_SINCE FARM_FILE FARM_TIMEOUT
    old=/dev/null
    [ ! -f "$state" ] || old=$state
    choice=$({ awk "$farm" <"$old"; } 2>/dev/null) || die 3 "$state.new: cannot be written"
    put_in_place
    unlock
}

# Takes events until their end.
persist() {
    while IFS= read -r line; do
        if ! read_request "$line" || [ -z "$client" ]; then
            continue
        fi
        case $type in
        dispatch)
            [ -n "$id" ] || continue
            untried
            # Names and numbers that were checked: splitting them is meant.
            # shellcheck disable=SC2086
            apply dispatch "$client" 8 $backends
            # An answer that names nobody is better than none: the daemon
            # need not wait for it.
            printf '%s %s\n' "$id" "${choice:--}"
            ;;
        start | end)
            [ -z "$backend" ] || apply "$type" "$client" 8 "$backend"
            ;;
        esac
    done
    exit 0
}

# Brings NAME:USABLE[:WEIGHT] into the form with an empty number of connections:
# that of this service is not known here, so sessions in the state count.
dispatch() {
    check_candidates "$@"
    backends=
    for candidate; do
        case $candidate in
        *:*:*) backends="$backends ${candidate%:*}::${candidate##*:}" ;;
        *) backends="$backends $candidate::" ;;
        esac
    done
    # shellcheck disable=SC2086 # Checked, and meant to be split.
    apply dispatch "$client" 8 $backends
    [ -n "$choice" ] || exit 1
    printf '%s\n' "$choice"
}

since=
FARM_TIMEOUT=28800
if [ "$1" = -t ]; then
    FARM_TIMEOUT=$2
    case $FARM_TIMEOUT in
    ???????*) FARM_TIMEOUT= ;;
    esac
    if ! is_number "$FARM_TIMEOUT" || [ "$FARM_TIMEOUT" -eq 0 ]; then
        die 2 "-t \`$2\`; accepted: 1 to 999999 seconds"
    fi
    shift 2
fi
[ "$#" -ge 2 ] || die 2 "$usage"
command=$1
use_state "$2"
client=$3
case $command in
persistent)
    [ "$#" -eq 2 ] || die 2 "$usage"
    persist
    ;;
dispatch | start | end) is_address "$client" || die 2 "client \`$client\`; accepted: an IP address, as %r" ;;
*) die 2 "$usage" ;;
esac
shift 3
if [ "$command" = dispatch ]; then
    dispatch "$@"
    exit 0
fi
if [ "$command" = start ] && [ "$#" -eq 2 ]; then
    since=$2
    is_number "$since" || die 2 "time \`$2\`; accepted: seconds since 1970, as %e"
elif [ "$#" -ne 1 ]; then
    die 2 "$usage"
fi
is_name "$1" || die 2 "back end \`$1\`; accepted: a name, as %b"
# A hook has more time than a handler, and its event would be lost.
apply "$command" "$client" 50 "$1"
