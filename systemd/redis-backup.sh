#!/bin/sh
# A backup of a running Redis: its append-only file, whole, as of one moment. Redis goes on meanwhile.
#
#     sudo redis-backup.sh TARGET.tgz [options of redis-cli: -p 6380, -s /run/redis.sock, --user backup]
#
# On Redis' own machine, as somebody who may read its folder, with a Redis user who may CONFIG (the daemon's may not;
# its password in REDISCLI_AUTH). All that was answered before the start is in it: Redis writes to the file first.
set -eu
umask 077

target=${1:?usage: redis-backup.sh TARGET.tgz [options of redis-cli]}
shift
ask() { redis-cli "$@"; }
setting() { ask "$@" config get "$name" | sed -n 2p; }
fail() { echo "redis-backup: $1" >&2; exit 1; }

name=dir; folder=$(setting "$@")
[ -n "$folder" ] || fail "Redis does not tell its folder: $(ask "$@" config get dir)"
name=appenddirname; kept=$(setting "$@")  # Redis 6.2 has none: one file
name=appendfilename; file=$(setting "$@")
kept=$folder/${kept:-$file}
[ -r "$kept" ] || fail "cannot read $kept: is the append-only file on, and are you root on Redis' machine?"
name=auto-aof-rewrite-percentage; percentage=$(setting "$@")

copy=$(mktemp -d "$target.XXXXXX")
trap 'ask "$@" config set auto-aof-rewrite-percentage "$percentage" >"$copy.said" || cat "$copy.said" >&2; rm -rf "$copy" "$copy.said"' EXIT
trap 'exit 1' HUP INT TERM

# While Redis writes its file anew, the parts of it change; nothing of it changes otherwise, it only grows.
[ "$(ask "$@" config set auto-aof-rewrite-percentage 0)" = OK ] || fail "Redis does not let this user CONFIG SET"
while ask "$@" info persistence | grep -q '^aof_rewrite_\(in_progress\|scheduled\):1'; do sleep 0.1; done

cp -R "$kept" "$copy/"
manifest=$kept/$file.manifest
if [ -e "$manifest" ] && ! cmp -s "$manifest" "$copy/$(basename "$kept")/$file.manifest"; then
  fail "somebody had the file written anew meanwhile (BGREWRITEAOF): run it again"
fi
tar -C "$copy" -czf "$copy/ready" "$(basename "$kept")"
mv "$copy/ready" "$target"
