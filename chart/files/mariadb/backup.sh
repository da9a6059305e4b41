# Dumps the database as it was at one moment, restores the dump into a scratch server in this pod, and only then keeps
# it. `cursors`, in which a restore leaves its mark, comes first, what says that the schema is whole last. Triggers work
# with the rights of whoever made them: the dump names nobody, so they are those of whoever restores it.
name="payments-$(date -u +%Y%m%dT%H%M%SZ).dump"
new="$DUMPS/$name.part"
server=
trap '[ -z "$server" ] || kill -9 "$server" 2>/dev/null || true; rm -f "$new"' EXIT
tables=$(query "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name <> 'cursors', table_name IN ('schema_versions', 'alembic_version'), table_name")
[ -n "$tables" ] || { echo "the database has no tables, or this login may not see them" >&2; exit 1; }
# shellcheck disable=SC2086 - their names, one by one
{ client mariadb-dump --single-transaction --quick --hex-blob --no-tablespaces --skip-add-locks --skip-add-drop-table \
  "$database" $tables || : > /scratch/failed; } \
  | sed 's|^\(/\*![0-9]* CREATE\*/ \)/\*![0-9]* DEFINER=[^*]*\*/ |\1|' | gzip > "$new"
[ ! -e /scratch/failed ] || { echo "mariadb-dump has failed" >&2; exit 1; }
mariadb-install-db --no-defaults --datadir=/scratch/data --skip-test-db --auth-root-authentication-method=normal \
  > /scratch/log 2>&1 || { cat /scratch/log >&2; exit 1; }
mariadbd --no-defaults --datadir=/scratch/data --socket=/scratch/socket --pid-file=/scratch/pid --skip-networking \
  --max-allowed-packet=1G --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 > /scratch/log 2>&1 &
server=$!
scratch() {
  mariadb --no-defaults --socket=/scratch/socket --user=root --default-character-set=utf8mb4 --max-allowed-packet=1G \
    --batch --skip-column-names "$@"
}
until scratch --execute='SELECT 1' > /dev/null 2>&1; do
  kill -0 "$server" 2>/dev/null || { cat /scratch/log >&2; exit 1; }
  sleep 0.2
done
scratch --execute='CREATE DATABASE restored CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin'
gzip -dc "$new" | scratch restored
restored=$(scratch --execute="SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'restored'")
[ "$restored" = "$(echo "$tables" | wc -w)" ] || { echo "the restored dump has $restored tables only" >&2; exit 1; }
triggers=$(scratch --execute="SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = 'restored'")
[ "$triggers" -gt 0 ] || { echo "this login sees no triggers: name the Secret with the owner's, secrets.migrationSecret" >&2; exit 1; }
mv "$new" "$DUMPS/$name"
echo "verified $name: restored $restored tables and $triggers triggers, $(wc -c < "$DUMPS/$name") bytes"
find "$DUMPS" -name 'payments-*.dump' -mtime "+$RETENTION_DAYS" -delete
