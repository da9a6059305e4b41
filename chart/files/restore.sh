# Restores a dump, the newest or the one that DUMP names, into an empty database as the owner's role, and marks it: until
# everything is compared with Stripe nothing is changed there. (Should it end before the mark is set, the service finds out
# by itself that the rows were written in another database.)
dump="${DUMP:-$(ls /dumps | grep '^payments-.*\.dump$' | sort | tail -n 1)}"
[ -f "/dumps/$dump" ] || { echo "there is no dump ${dump:-at all} in /dumps" >&2; exit 1; }
tables=$(psql --dbname=service=payments -Atc "select count(*) from information_schema.tables where table_schema = 'public'")
[ "$tables" = 0 ] || { echo "the database has $tables tables; a dump is only restored into an empty one" >&2; exit 1; }
patiently pg_restore --exit-on-error --single-transaction --no-owner --no-acl --dbname=service=payments "/dumps/$dump"
psql --dbname=service=payments --quiet --set=ON_ERROR_STOP=1 --set=dump="$dump" <<'SQL'
INSERT INTO cursors (name, value, updated_at)
VALUES ('recovery', jsonb_build_object('id', gen_random_uuid()::text, 'reason', 'restored ' || :'dump'), now())
ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at;
SQL
echo "restored $dump"
