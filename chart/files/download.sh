# Fetches the dump that is to be restored, the newest or the one that DUMP names.
set -eu
dump="${DUMP:-$(rclone lsf --files-only --include 'payments-*.dump' "$OBJECT_PATH" | sort | tail -n 1)}"
[ -n "$dump" ] || { echo "there is no dump in $OBJECT_PATH" >&2; exit 1; }
rclone copy "$OBJECT_PATH/$dump" /dumps
