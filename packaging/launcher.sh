#!/bin/sh
# agentctl @VERSION@ in one file. The first start unpacks it into the user's cache, every start runs
# it from there. Behind these lines stand the program that unpacks, and what it unpacks.
case ${AGENTCTL_HOME-} in
'') cache=@CACHE@ ;;
'~') cache=${HOME-}/cache ;;
'~/'*) cache=${HOME-}/${AGENTCTL_HOME#'~/'}/cache ;;
*) cache=$AGENTCTL_HOME/cache ;;
esac
folder=$cache/program/@NAME@
program=$folder/agentctl

# Whole is what has not changed since the marker was made.
is_whole() {
    [ -f "$folder/.unpacked" ] && [ -z "$(find "$folder" -newer "$folder/.unpacked" | head -n 1)" ]
}

unpack() {
    umask 077
    mkdir -p "$cache" && TMPDIR=$(mktemp -d "$cache/launcher-XXXXXX") || refuse
    # It unpacks a part of itself in that folder, too.
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
    trap 'exit 130' INT TERM HUP
    tail -c +@START@ "$0" | head -c @SIZE@ >"$TMPDIR/launcher" || refuse
    chmod u+x "$TMPDIR/launcher" || refuse
    "$TMPDIR/launcher" "$0"
}

refuse() {
    echo "error: agentctl cannot unpack itself in $cache" >&2
    echo "  try: set AGENTCTL_HOME to a folder that you may write to, on a disk with 400 MB free" >&2
    exit 1
}

if ! is_whole; then
    program=$(unpack) || exit
fi
export _AGENTCTL_LAUNCHER="$0"
exec "$program" "$@"
