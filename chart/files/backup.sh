# Dumps the database, restores the dump into a scratch server in this pod, and only then keeps it.
name="payments-$(date -u +%Y%m%dT%H%M%SZ).dump"
new="$DUMPS/$name.part"
ended() {
  pg_ctl -D /scratch/data -m immediate stop >/dev/null 2>&1 || true
  rm -f "$new" || true
}
rm -f "$DUMPS"/payments-*.dump.part  # of one that was killed
patiently pg_dump --format=custom --no-owner --no-acl --file="$new" --dbname=service=payments
initdb --pgdata=/scratch/data --auth=trust --username=scratch --encoding=UTF8 >/dev/null
pg_ctl -D /scratch/data -w -l /scratch/log -o "-c listen_addresses='' -c unix_socket_directories=/scratch -c fsync=off" start >/dev/null
createdb -h /scratch -U scratch restored
patiently pg_restore --exit-on-error --no-owner --no-acl -h /scratch -U scratch -d restored "$new"
tables=$(psql -h /scratch -U scratch -d restored -Atc "select count(*) from information_schema.tables where table_schema = 'public'")
[ "$tables" -gt 0 ] || { echo "the restored dump has no tables" >&2; exit 1; }
mv "$new" "$DUMPS/$name"
echo "verified $name: restored $tables tables, $(wc -c < "$DUMPS/$name") bytes"
find "$DUMPS" -name 'payments-*.dump' -mtime "+$RETENTION_DAYS" -delete
