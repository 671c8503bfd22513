#!/bin/sh
# notifier-send: hands an alert of Nagios, Icinga 2, Checkmk, monit or a script to notifier.
#
# These tools run a command once and forget. This one keeps what it could not deliver and delivers
# it first, in order, the next time. It needs a POSIX sh with the usual tools and either curl, or
# wget (GNU) with timeout.
#
#   notifier-send.sh [options]           send one alert, after what is waiting in the spool
#   notifier-send.sh --flush [options]   send what is waiting (for cron, once a minute)
#
# Where to, by option, environment or a line in the settings file, whichever comes first:
#   --url URL       NOTIFIER_URL      url=URL         address of the integration (it is a secret)
#   --header LINE   NOTIFIER_HEADER   header=LINE     one more header, "X-Secret: …"
#   --spool DIR     NOTIFIER_SPOOL    spool=DIR       otherwise /var/spool/notifier-send
#   --config FILE   NOTIFIER_CONFIG                   otherwise /etc/notifier-send.conf
# An option can be seen by every user of the machine (ps); the settings file need not be.
# Checkmk's first script parameter (NOTIFY_PARAMETER_1) is an URL too.
#
# What, by option, else from the NAGIOS_*, NOTIFY_* (Checkmk), ICINGA_* or MONIT_* environment:
#   --host --service --state --output    as the tool names them
#   --type          PROBLEM, RECOVERY, ACKNOWLEDGEMENT; anything else is sent as a mere notice
#   --status        firing, acknowledged or resolved, instead of --type
#   --since         start of this state, in seconds since 1970
#   --key --title --severity --component --link --label NAME=VALUE (repeatable)
#
# Exit codes:
#   0  delivered, or taken over by another call of this script that is delivering just now
#   1  not delivered; it waits in the spool
#   2  called wrongly; nothing was sent or kept
#   3  notifier refused it as unreadable (400, 413, 415, 422); it is not kept
#   4  neither delivered nor kept: the spool cannot be written to
#
# The spool holds 1,000 alerts; the oldest goes when there are more, with a line in DIR/log. Nothing
# here waits longer than 20 s altogether, or 10 s for one answer.

set -u
umask 077
LC_ALL=C
export LC_ALL

MAX_FILES=1000
MAX_BYTES=8000
MAX_LOG=1000000
POST_SECONDS=10
ALL_SECONDS=19
LOCK_SECONDS=60

began=$(date +%s)

die() {
    printf 'notifier-send: %s\n' "$1" >&2
    exit 2
}

# A line in the log. Never the address: it is what lets alerts in.
note() {
    if [ "$(wc -c 2>/dev/null <"$spool/log" || echo 0)" -gt "$MAX_LOG" ]; then
        mv -f "$spool/log" "$spool/log.1"
    fi
    printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" 2>/dev/null >>"$spool/log"
    printf 'notifier-send: %s\n' "$1" >&2
}

# ---- what was asked for

# from_tool NAME: the value of that macro in whichever tool's environment it is. NAME is ours, and
# the value is never evaluated.
from_tool() {
    eval "printf '%s' \"\${NAGIOS_$1:-\${NOTIFY_$1:-\${ICINGA_$1:-}}}\""
}

from_config() {
    [ -r "$config" ] || return 0
    sed -n "s/^$1=//p" "$config" | tail -n 1
}

read_options() {
    url=${NOTIFIER_URL:-} header=${NOTIFIER_HEADER:-} spool=${NOTIFIER_SPOOL:-}
    config=${NOTIFIER_CONFIG:-/etc/notifier-send.conf}
    flush='' type='' status='' host='' service='' state='' output='' since='' labels=''
    key='' title='' severity='' component='' link=''
    while [ $# -gt 0 ]; do
        if [ "$1" = --flush ]; then
            flush=yes
            shift
            continue
        fi
        [ $# -ge 2 ] || die "The option $1 is not known, or its value is missing."
        case $1 in
            --url | --header | --spool | --config | --type | --status | --host | --service | \
                --state | --output | --since | --key | --title | --severity | --component | --link)
                # The name is one of the list above; the value is not evaluated.
                eval "${1#--}=\$2"
                ;;
            --label) add_label "${2%%=*}" "${2#*=}" ;;
            *) die "The option $1 is not known." ;;
        esac
        shift 2
    done
}

read_settings() {
    [ -n "$url" ] || url=$(from_config url)
    [ -n "$url" ] || url=${NOTIFY_PARAMETER_1:-}
    [ -n "$header" ] || header=$(from_config header)
    [ -n "$spool" ] || spool=$(from_config spool)
    [ -n "$spool" ] || spool=/var/spool/notifier-send
    case $url in
        *[!!-~]* | *[\"\\]*) die "The address (--url) has a character that no address has." ;;
        http://?* | https://?*) ;;
        *) die "The address of the integration is missing: give --url, or url=… in $config." ;;
    esac
    case $header in
        *[!\ -~]* | *[\"\\]*) die "The header (--header) has a character that we cannot send." ;;
    esac
}

# What the options have left open, from the environment of the tool.
read_tool() {
    [ -n "$type" ] || type=$(from_tool NOTIFICATIONTYPE)
    [ -n "$host" ] || host=$(from_tool HOSTNAME)
    [ -n "$host" ] || host=${MONIT_HOST:-}
    [ -n "$service" ] || service=$(from_tool SERVICEDESC)
    [ -n "$service" ] || service=${MONIT_SERVICE:-}
    what=HOST
    [ -z "$service" ] || what=SERVICE
    [ -n "$state" ] || state=$(from_tool "${what}STATE")
    [ -n "$output" ] || output=$(read_output)
    [ -n "$link" ] || link=$(from_tool "${what}NOTESURL")
    [ -n "$since" ] || since=$(from_tool "LAST${what}STATECHANGE")
    case $since in
        '' | *[!0-9.]* | 0 | 0.*) since=$began ;;
    esac
    [ -n "$key" ] || key=$host${service:+!$service}
}

read_output() {
    whole=$(from_tool "${what}OUTPUT")
    long=$(from_tool "LONG${what}OUTPUT")
    printf '%s' "${whole:-${MONIT_DESCRIPTION:-}}${long:+
$long}"
}

read_status() {
    [ -z "$status" ] || return 0
    case $type in
        PROBLEM) status=firing ;;
        RECOVERY) status=resolved ;;
        ACKNOWLEDGEMENT) status=acknowledged ;;
        '') die "Neither --status nor --type is given, and no tool's environment names one." ;;
        *) status=notice ;;
    esac
}

# ---- JSON

# json TEXT: TEXT as a JSON string, whatever is in it. Half characters and what is no UTF-8 are
# left out, control characters become spaces. Without iconv, only ASCII is left.
json() {
    printf '"'
    printf '%s' "$1" | head -c "$MAX_BYTES" | only_utf8 | tr '\001-\011\013-\037\177' ' ' |
        sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' |
        awk 'NR > 1 { printf "%s", "\\n" } { printf "%s", $0 }'
    printf '"'
}

only_utf8() {
    if command -v iconv >/dev/null; then
        iconv -c -f UTF-8 -t UTF-8 2>/dev/null
    else
        tr -d '\200-\377'
    fi
}

add_label() {
    [ -n "$1" ] && [ -n "$2" ] || return 0
    labels="$labels${labels:+, }$(json "$1"): $(json "$2")"
}

build_body() {
    add_label host "$host"
    add_label service "$service"
    add_label state "$state"
    add_label event "${MONIT_EVENT:-}"
    add_label hostgroups "$(from_tool HOSTGROUPNAMES)"
    add_label servicegroups "$(from_tool SERVICEGROUPNAMES)"
    add_label site "$(from_tool OMD_SITE)"
    edge=starts_at
    [ "$status" != resolved ] || edge=ends_at
    about=''
    [ -z "$component" ] || about=" \"component\": $(json "$component"),"
    named="${service:+$service on }$host${state:+ is $state}"
    cat <<END
{"dedup_key": $(json "$key"),
 "status": $(json "$status"),
 "notification_type": $(json "$type"),
 "severity": $(json "${severity:-$state}"),
 "title": $(json "${title:-$named}"),
 "description": $(json "$output"),
$about "labels": {$labels},
 "url": $(json "$link"),
 "$edge": $(json "$since")}
END
}

# ---- the spool: 000000000001.json and so on, sent in this order

waiting() {
    set -- "$spool"/[0-9]*.json
    [ -e "$1" ]
}

# Put the body under the next free number. A hard link fails where the name is taken, so two calls
# never share one.
keep() {
    mine=''
    draft=$spool/.draft.$$
    printf '%s\n' "$body" 2>/dev/null >"$draft" || return 1
    drop_oldest
    set -- "$spool"/[0-9]*.json
    while [ $# -gt 1 ]; do shift; done
    last=${1##*/}
    # Not $((…)), which reads a leading zero as octal.
    # shellcheck disable=SC2003
    number=$(expr "${last%.json}" + 1 2>/dev/null || echo 1)
    until ln "$draft" "$spool/$(printf '%012d' "$number").json" 2>/dev/null; do
        number=$((number + 1))
        [ -e "$draft" ] && [ "$number" -lt 999999999999 ] && [ -w "$spool" ] || return 1
    done
    mine=$spool/$(printf '%012d' "$number").json
    rm -f "$draft"
}

drop_oldest() {
    set -- "$spool"/[0-9]*.json
    while [ $# -ge "$MAX_FILES" ]; do
        rm -f "$1"
        note "The spool is full ($MAX_FILES): the oldest alert, ${1##*/}, was dropped unsent."
        shift
    done
}

# ---- one sender at a time

# The lock is a symbolic link whose target tells when it was made: made and read in one step each.
# Nobody needs it for longer than 20 s, so one of a minute ago is from a process that was killed.
lock() {
    token=$(date +%s).$$
    ln -s "$token" "$spool/lock" 2>/dev/null && return 0
    held=$(readlink "$spool/lock") || return 1
    made=${held%.*}
    case $made in '' | *[!0-9]*) made=0 ;; esac
    age=$((${token%.*} - made))
    [ "$age" -gt "$LOCK_SECONDS" ] || [ "$age" -lt "-$LOCK_SECONDS" ] || return 1
    # Only one process can move it away, and it looks at what it has moved.
    mv "$spool/lock" "$spool/lock.$$" 2>/dev/null || return 1
    moved=$(readlink "$spool/lock.$$")
    rm -f "$spool/lock.$$"
    [ "$moved" = "$held" ] && ln -s "$token" "$spool/lock" 2>/dev/null
}

unlock() {
    [ "$(readlink "$spool/lock" 2>/dev/null)" != "${token:-none}" ] || rm -f "$spool/lock"
}

clean_up() {
    unlock
    rm -f "$spool/.draft.$$" "$spool/.wgetrc.$$"
}

# ---- sending

# post SECONDS: post standard input, print the status of the answer ("" or 000: there was none).
# Address and header go through a descriptor and a file, where ps does not show them.
post() {
    if command -v curl >/dev/null; then
        curl -q -sS --max-time "$1" -o /dev/null -w '%{http_code}' -K /dev/fd/3 \
            -H 'Content-Type: application/json' --data-binary @- 3<<END 2>/dev/null
$(curl_settings)
END
    elif command -v wget >/dev/null && command -v timeout >/dev/null; then
        printf 'post_file = /dev/stdin\n%s\n' "${header:+header = $header}" \
            2>/dev/null >"$spool/.wgetrc.$$" || return
        timeout "$1" wget --config="$spool/.wgetrc.$$" -i /dev/fd/3 -S -O /dev/null --tries=1 \
            --max-redirect=0 --header='Content-Type: application/json' 3<<END 2>&1 |
$url
END
            sed -n 's/^ *HTTP\/[0-9.]* \([0-9][0-9]*\).*/\1/p' | tail -n 1
    fi
}

curl_settings() {
    printf 'url = "%s"\n' "$url"
    [ -z "$header" ] || printf 'header = "%s"\n' "$header"
}

# send: post standard input within the time that is left. Sets `answer`; the exit code is 0 for
# delivered, 3 for refused for good, 1 for later.
send() {
    left=$((ALL_SECONDS - $(date +%s) + began))
    [ "$left" -gt "$POST_SECONDS" ] && left=$POST_SECONDS
    [ "$left" -ge 1 ] || return 1
    answer=$(post "$left")
    case $answer in
        2??) return 0 ;;
        400 | 413 | 415 | 422) return 3 ;;
        '' | 000) note "Not delivered: no answer within $left s. It waits in the spool." ;;
        *) note "Not delivered: the answer was $answer. It waits in the spool." ;;
    esac
    return 1
}

# Send what waits, oldest first, up to the first that cannot be delivered. Sets `refused` where
# this call's own alert was.
drain() {
    for file in "$spool"/[0-9]*.json; do
        [ -e "$file" ] || continue
        send <"$file"
        case $? in
            0) ;;
            3)
                [ "$file" != "$mine" ] || refused=yes
                note "Refused with $answer as unreadable and dropped: ${file##*/}."
                ;;
            *) return 1 ;;
        esac
        rm -f "$file" || return 1
    done
}

# Whoever cannot get the lock leaves its alert to the holder, who looks once more after letting go.
deliver() {
    while waiting; do
        if ! lock; then
            [ -w "$spool" ]
            return
        fi
        drain
        done_well=$?
        unlock
        [ "$done_well" -eq 0 ] || return 1
    done
}

send_without_spool() {
    printf 'notifier-send: the spool %s cannot be written to.\n' "$spool" >&2
    printf '%s\n' "$body" | send
    case $? in
        0) exit 0 ;;
        3) exit 3 ;;
        *) exit 4 ;;
    esac
}

main() {
    read_options "$@"
    read_settings
    mine='' refused='' body=''
    [ -d "$spool" ] || mkdir -p "$spool" 2>/dev/null
    trap clean_up EXIT
    trap 'exit 1' HUP INT TERM
    if [ -z "$flush" ]; then
        read_tool
        read_status
        [ -n "$key" ] || die "Neither --key nor --host is given, and no tool's environment has one."
        body=$(build_body)
        keep || send_without_spool
    fi
    deliver || exit 1
    [ -z "$refused" ] || exit 3
}

main "$@"
