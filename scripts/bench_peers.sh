#!/bin/sh
# Installs the benchmark's peers: nodemailer into node_modules/, wrk, nginx and Postfix's
# smtp-sink and smtp-source from Debian. Postfix gets no configuration and is never started.
set -eu
PATH="$PATH:/usr/sbin:/sbin" # where Debian keeps some of them, and only root looks
if [ "$(id -u)" = 0 ] && command -v debconf-set-selections >/dev/null 2>&1 \
    && ! command -v smtp-sink >/dev/null 2>&1; then
    echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
fi
sh scripts/ensure_debian.sh wrk wrk
sh scripts/ensure_debian.sh nginx nginx-light
sh scripts/ensure_debian.sh smtp-sink postfix
if [ ! -d node_modules/nodemailer ]; then
    if command -v npm >/dev/null 2>&1; then
        npm install --silent --no-save --no-audit --no-fund --prefix . nodemailer@10 \
            || echo "npm could not install nodemailer; its comparison will be skipped."
    else
        echo "Not installed: npm. (The comparison with nodemailer will be skipped.)"
    fi
fi
