# Logs in to the address that the service uses, with its words for TLS: `client PROGRAM …` and `query SQL`. The password
# stands in no command and no file. Of several hosts the first that takes writes is meant. The clients verify a
# certificate and its name or neither, so VERIFY_CA looks at the name too.
set -eu
umask 077
export LC_ALL=C TMPDIR=/scratch
address() {  # the client's options for the host of this number, if there is one; 0: the database's name
  awk -v number="$1" -v authority="${PGSSLROOTCERT:-}" '
    function digit(one) { return index("0123456789abcdef", tolower(one)) - 1 }
    function plain(text,   made) {
      while (match(text, /%[0-9A-Fa-f][0-9A-Fa-f]/)) {
        made = made substr(text, 1, RSTART - 1)
        made = made sprintf("%c", 16 * digit(substr(text, RSTART + 1, 1)) + digit(substr(text, RSTART + 2, 1)))
        text = substr(text, RSTART + 3)
      }
      return made text
    }
    function say(name, text,   made, at, one) {  # as an option file has it
      for (at = 1; at <= length(text); at++) {
        one = substr(text, at, 1)
        made = made (one == "\\" || one == "\"" ? "\\" one : one)
      }
      print name "=\"" made "\""
    }
    NF {
      split($1, scheme, "://")
      if (scheme[1] !~ /^(mysql|mariadb)([+].*)?$/) exit
      rest = substr($1, length(scheme[1]) + 4)
      if (at = index(rest, "?")) { query = substr(rest, at + 1); rest = substr(rest, 1, at - 1) }
      at = index(rest, "/"); database = plain(substr(rest, at + 1)); rest = substr(rest, 1, at - 1)
      match(rest, /^.*@/); login = substr(rest, 1, RLENGTH - 1); rest = substr(rest, RLENGTH + 1)
      if (number == 0) { print database; found = 1; exit }
      hosts = split(rest, host, ",")
      if (number > hosts) exit
      away = 0
      for (one = 1; one <= hosts; one++) {
        port[one] = 3306
        if (match(host[one], /:[0-9]+$/)) {
          port[one] = substr(host[one], RSTART + 1); host[one] = substr(host[one], 1, RSTART - 1)
        }
        gsub(/[][]/, "", host[one])
        if (host[one] !~ /^(localhost|::1|127[.][0-9.]+)$/) away = 1
      }
      for (one = split(query, given, "&"); one > 0; one--) {
        at = index(given[one], "="); option[substr(given[one], 1, at - 1)] = plain(substr(given[one], at + 1))
      }
      if ("ssl-ca" in option) { away = 1; authority = option["ssl-ca"] }
      mode = ("ssl-mode" in option) ? toupper(option["ssl-mode"]) : (away ? "VERIFY_IDENTITY" : "DISABLED")
      at = index(login ":", ":")
      print "[mariadb-client]\nconnect-timeout=5\n[client]\nprotocol=tcp\ndefault-character-set=utf8mb4\nmax-allowed-packet=1G"
      say("user", plain(substr(login, 1, at - 1))); say("password", plain(substr(login, at + 1)))
      say("host", host[number]); say("port", port[number])
      if (mode != "DISABLED") {
        print "ssl\n" (mode == "REQUIRED" ? "skip-" : "") "ssl-verify-server-cert"
        if (authority != "" && mode != "REQUIRED") say("ssl-ca", authority)
        if ("ssl-cert" in option) { say("ssl-cert", option["ssl-cert"]); say("ssl-key", option["ssl-key"]) }
      } else print "skip-ssl"
      found = 1; exit
    }
    END { exit !found }' "${DATABASE_MIGRATION_URL_FILE:-/run/secrets/payments/DATABASE_URL}"
}
client() {
  program=$1
  shift
  "$program" --defaults-file=/dev/fd/3 "$@" 3<<OPTIONS
$options
OPTIONS
}
query() {
  client mariadb --batch --skip-column-names --database="$database" --execute="$1"
}
database=$(address 0) || { echo "the address is not MariaDB's, and database.kind says mariadb: they must agree" >&2; exit 1; }
number=0 reasons=
while number=$((number + 1)) && options=$(address "$number"); do
  said=$(query "SELECT CONCAT(@@global.read_only) IN ('0', 'OFF'), variable_value <> '' FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'" 2>&1) || true
  case "$said $options" in
    "1	1 "* | "1	0 "*skip-ssl) break ;;
    "0	"*) said="takes no writes" ;;
    "1	0 "*) said="offers no TLS" ;;
  esac
  reasons="$reasons $said;"
done
[ -n "$options" ] || { echo "no host of the address can be used:$reasons" >&2; exit 1; }
