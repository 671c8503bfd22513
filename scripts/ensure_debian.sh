#!/bin/sh
# ensure_debian.sh COMMAND PACKAGE...: install Debian packages unless COMMAND is there already
# ("-": always try). Where we are not root, or this is not Debian, it says what is missing and
# goes on: the tests that need it say that they skip.
set -eu
command=$1
shift
if [ "$command" != "-" ] && command -v "$command" >/dev/null 2>&1; then
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "Not installed: $*. (Needs Debian and root; what uses it will be skipped.)"
    exit 0
fi
echo "Installing Debian's $* ..."
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get -qq update && apt-get -qq install -y --no-install-recommends "$@"; } >/dev/null 2>&1; then
    echo "Could not install $*; what uses it will be skipped."
fi
