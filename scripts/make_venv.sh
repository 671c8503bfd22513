#!/bin/sh
# Makes .venv from requirements.lock. Called by `make setup`; PYTHON names the interpreter.
set -eu
PYTHON=${PYTHON:-python3}
if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "notifier needs Python 3.11 or newer; '$PYTHON' is not. Try: make PYTHON=python3.12 ..." >&2
    exit 1
fi
if ! "$PYTHON" -m venv --clear .venv 2>/dev/null; then
    # Debian ships python3 without ensurepip; its package python3-venv brings it.
    sh scripts/ensure_debian.sh - python3-venv
    "$PYTHON" -m venv --clear .venv || {
        echo "'$PYTHON -m venv' does not work; on Debian: apt-get install python3-venv" >&2
        exit 1
    }
fi
echo "Setting up .venv (about a minute the first time) ..."
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
# The build backend comes from the lock file too, so nothing unpinned is fetched.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
