# Copies the verified dump to the object storage, compares it there, and only then forgets what is too old.
set -eu
rclone copy --include 'payments-*.dump' /dumps "$OBJECT_PATH"
rclone check --one-way --include 'payments-*.dump' /dumps "$OBJECT_PATH"
rclone delete --include 'payments-*.dump' --min-age "${RETENTION_DAYS}d" "$OBJECT_PATH"
echo "uploaded to $OBJECT_PATH:"
rclone lsl --include 'payments-*.dump' "$OBJECT_PATH" | tail -n 5
