# Restores a dump, the newest or the one that DUMP names, into an empty database as the owner's role.
set -eu
url=$(cat "${DATABASE_MIGRATION_URL_FILE:-/run/secrets/payments/DATABASE_URL}")
dump="${DUMP:-$(ls /dumps | grep '^payments-.*\.dump$' | sort | tail -n 1)}"
[ -f "/dumps/$dump" ] || { echo "there is no dump ${dump:-at all} in /dumps" >&2; exit 1; }
tables=$(psql "$url" -Atc "select count(*) from information_schema.tables where table_schema = 'public'")
[ "$tables" = 0 ] || { echo "the database has $tables tables; a dump is only restored into an empty one" >&2; exit 1; }
pg_restore --exit-on-error --single-transaction --no-owner --no-acl --dbname="$url" "/dumps/$dump"
echo "restored $dump"
