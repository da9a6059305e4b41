# Restores a dump, the newest or the one that DUMP names, into an empty database as the owner's login. Tables are not
# made in a transaction here: one of its own says that this has not ended, by which the next try begins anew. The mark
# by which nothing is changed until everything is compared with Stripe is set before any table but its own is there.
dump="${DUMP:-$(ls /dumps | grep '^payments-.*\.dump$' | sort | tail -n 1)}"
[ -f "/dumps/$dump" ] || { echo "there is no dump ${dump:-at all} in /dumps" >&2; exit 1; }
case "$dump" in *[!A-Za-z0-9._-]*) echo "$dump is no dump's name" >&2; exit 1 ;; esac
gzip -t "/dumps/$dump"
make="CREATE DATABASE … CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
collation=$(query "SELECT @@collation_database")
[ "$collation" = utf8mb4_nopad_bin ] || { echo "the database's collation is $collation: DROP DATABASE, then $make" >&2; exit 1; }
listed="FROM information_schema.tables WHERE table_schema = DATABASE()"
if [ "$(query "SELECT COUNT(*) $listed AND table_name = 'restore_unfinished'")" = 1 ]; then
  echo "a restore did not end: what it made goes"
  drops=$(query "SELECT CONCAT('DROP TABLE \`', table_name, '\`;') $listed ORDER BY table_name = 'restore_unfinished'")
  query "SET foreign_key_checks = 0; $drops"
fi
tables=$(query "SELECT COUNT(*) $listed")
[ "$tables" = 0 ] || { echo "the database has $tables tables; a dump is only restored into an empty one: DROP DATABASE, then $make" >&2; exit 1; }
query "CREATE TABLE restore_unfinished (id INT PRIMARY KEY) ENGINE=InnoDB"
value="JSON_OBJECT('id', UUID(), 'reason', 'restored $dump'), UTC_TIMESTAMP(6)"
mark="REPLACE INTO cursors (name, value, updated_at) VALUES ('recovery', $value);"
gzip -dc "/dumps/$dump" | awk -v mark="$mark" '/^-- Table structure for table / && ++tables == 2 { print mark } { print }' \
  | client mariadb --database="$database"
query "DROP TABLE restore_unfinished"
echo "restored $dump"
