# Logs in to the address that the service uses: its password goes into a password file, the rest into a service file,
# which the clients name as `--dbname=service=payments`. Nothing of the address stands in a command, and none of it is
# said (libpq quotes what it cannot read). What an address may hold is postgresql.org/docs/current/libpq-connect.html's;
# what stands raw where it must be percent-encoded is refused, since the part after it would be taken for a host.
set -eu
export PGSERVICEFILE=/scratch/login/service PGPASSFILE=/scratch/login/password
child=
ended() { :; }
trap '[ -z "$child" ] || kill "$child" 2>/dev/null || true; rm -rf /scratch/login; ended' EXIT
trap 'exit 143' TERM
patiently() {  # a shell that waits for a command in the foreground hears of no signal before that has ended
  "$@" &
  child=$!
  wait "$child"
  child=
}
address() {
  LC_ALL=C awk '
    function digit(one) { return index("0123456789abcdef", tolower(one)) - 1 }
    function plain(text,   made) {
      while (match(text, /%[0-9A-Fa-f][0-9A-Fa-f]/)) {
        made = made substr(text, 1, RSTART - 1)
        made = made sprintf("%c", 16 * digit(substr(text, RSTART + 1, 1)) + digit(substr(text, RSTART + 2, 1)))
        text = substr(text, RSTART + 3)
      }
      return made text
    }
    function refuse() { refused = 1; exit 1 }
    NF {
      encoded = $1; gsub(/%[0-9A-Fa-f][0-9A-Fa-f]/, "", encoded)
      if (NF > 1 || encoded ~ /%/ || $1 ~ /%([01][0-9A-Fa-f]|7[Ff])/ || $1 !~ /^postgres(ql)?([+][a-z0-9_]+)?:\/\//) refuse()
      rest = substr($1, index($1, "://") + 3)
      if (match(rest, "[@/]") && substr(rest, RSTART, 1) == "@") {
        login = substr(rest, 1, RSTART - 1); rest = substr(rest, RSTART + 1)
        at = index(login ":", ":")
        option["user"] = plain(substr(login, 1, at - 1)); option["password"] = plain(substr(login, at + 1))
      }
      if (at = index(rest, "?")) { query = substr(rest, at + 1); rest = substr(rest, 1, at - 1) }
      if (at = index(rest, "/")) { database = substr(rest, at + 1); rest = substr(rest, 1, at - 1) }
      if (database ~ "[@/]") refuse()
      option["dbname"] = plain(database)
      hosts = split(rest, host, ",")
      for (one = 1; one <= hosts; one++) {
        port = ""
        if (match(host[one], /:[0-9]*$/)) {
          port = substr(host[one], RSTART + 1); host[one] = substr(host[one], 1, RSTART - 1)
        }
        if (host[one] ~ /^\[[0-9A-Za-z:.%]+\]$/) host[one] = substr(host[one], 2, length(host[one]) - 2)
        else if (host[one] ~ /@|:|\[|\]/) refuse()
        option["host"] = option["host"] (one > 1 ? "," : "") plain(host[one])
        option["port"] = option["port"] (one > 1 ? "," : "") port
      }
      if (option["port"] ~ /^,*$/) delete option["port"]
      count = split(query, given, "&")
      for (one = 1; one <= count; one++) {
        at = index(given[one], "="); name = substr(given[one], 1, at - 1)
        if (name !~ /^[a-z_]+$/) refuse()
        if (given[one] == "ssl=true") { name = "sslmode"; option[name] = "require" }
        else option[name] = plain(substr(given[one], at + 1))
      }
      secret = option["password"]; delete option["password"]
      for (at = 1; at <= length(secret); at++) {
        one = substr(secret, at, 1); escaped = escaped (one == "\\" || one == ":" ? "\\" : "") one
      }
      if (secret != "") print "*:*:*:*:" escaped > ENVIRON["PGPASSFILE"]
      print "[payments]" > ENVIRON["PGSERVICEFILE"]
      for (name in option) {
        if (option[name] ~ / $/) refuse()
        if (option[name] != "") print name "=" option[name] > ENVIRON["PGSERVICEFILE"]
      }
      found = 1; exit
    }
    END { exit refused || !found }' "${DATABASE_MIGRATION_URL_FILE:-/run/secrets/payments/DATABASE_URL}"
}
rm -rf /scratch/login
(umask 077 && mkdir /scratch/login && address) || {
  echo "the database's address cannot be read: it is postgresql://USER:PASSWORD@HOST:PORT/NAME, and in a user, a password" \
    "or a name everything but letters and digits is percent-encoded, such as % as %25 and / as %2F" >&2
  exit 1
}
