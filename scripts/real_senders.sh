#!/bin/sh
# Fetches Debian's Alertmanager, monit and Nagios into build/senders for the test that lets them
# alert for real (tests/e2e/test_real_senders.py), unless they are installed. They are unpacked and
# not installed: that needs no root, makes no user and starts no service. What cannot be had is
# named, and we go on: its test says that it skips.
set -eu
PATH="$PATH:/usr/sbin:/sbin" # where Debian keeps Nagios, and only root looks
folder=build/senders
# Debian's Alertmanager reads its own templates from here and nowhere else.
templates=/usr/share/prometheus/alertmanager

get() {
    timeout 60 apt-get -qq -o Acquire::Retries=0 "$@" >/dev/null 2>&1
}

# A bare machine has no lists of packages, and old ones name what is gone: new ones, once.
refresh_lists() {
    [ "$(id -u)" = 0 ] && [ -z "${refreshed:-}" ] && refreshed=yes && get update
}

download() {
    (cd "$folder" && get download "$1") || { refresh_lists && (cd "$folder" && get download "$1"); }
}

unpack() {
    rm -rf "$folder/$1.new"
    dpkg-deb -x "$folder/$1"_*.deb "$folder/$1.new" && rm -f "$folder/$1"_*.deb
}

# Whether what was unpacked finds its libraries.
can_run() {
    ! ldd "$folder/$1.new"/usr/*bin/"$2" 2>&1 | grep -q 'not found'
}

# fetch PACKAGE COMMAND
fetch() {
    if command -v "$2" >/dev/null 2>&1 || [ -d "$folder/$1" ]; then
        return 0
    fi
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "Not fetched: $1. (Needs Debian; its test will be skipped.)"
        return 0
    fi
    echo "Fetching Debian's $1 ..."
    mkdir -p "$folder" && rm -f "$folder/$1"_*.deb
    if ! download "$1" || ! unpack "$1"; then
        echo "Could not fetch $1; its test will be skipped."
    elif ! can_run "$1" "$2"; then
        echo "$1 needs libraries that are not installed; its test will be skipped."
    else
        mv "$folder/$1.new" "$folder/$1"
    fi
}

place_templates() {
    unpacked=$folder/prometheus-alertmanager$templates
    if [ -d "$templates" ] || [ ! -d "$unpacked" ]; then
        return 0
    fi
    if [ "$(id -u)" = 0 ]; then
        mkdir -p "$templates"
        cp "$unpacked"/*.tmpl "$templates"
    else
        echo "Alertmanager needs $templates, which root has to make; its test will be skipped."
    fi
}

fetch prometheus-alertmanager prometheus-alertmanager
fetch monit monit
fetch nagios4-core nagios4
place_templates
# What Nagios runs to send (notifier-send.sh) needs one of them.
command -v wget >/dev/null 2>&1 || sh scripts/ensure_debian.sh curl curl
