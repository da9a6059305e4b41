{{- /* A network as NetworkPolicies take it: a single address gets its length. */ -}}
{{- define "lean-payments.cidr" -}}
{{- contains "/" . | ternary . (printf "%s/%s" . (contains ":" . | ternary "128" "32")) -}}
{{- end -}}

{{- /* Everybody's addresses, as peers of a NetworkPolicy: what is private, shared, reserved, link-local or a cloud's
       metadata is left out, as the service leaves it out for webhooks (deliveries/addresses.py; a test compares them),
       also behind NAT64, and networkPolicy.ownNetworks. */ -}}
{{- define "lean-payments.publicPeers" -}}
{{- $four := list
  "0.0.0.0/8" "10.0.0.0/8" "100.64.0.0/10" "127.0.0.0/8" "168.63.129.16/32" "169.254.0.0/16" "172.16.0.0/12"
  "192.0.0.0/24" "192.0.2.0/24" "192.88.99.0/24" "192.168.0.0/16" "198.18.0.0/15" "198.51.100.0/24" "203.0.113.0/24"
  "224.0.0.0/4" "240.0.0.0/4" -}}
{{- $six := list "2001::/23" "2001:db8::/32" "2002::/16" "3fff::/20" -}}
{{- $translated := list
  "64:ff9b::/104" "64:ff9b::a00:0/104" "64:ff9b::6440:0/106" "64:ff9b::7f00:0/104" "64:ff9b::a83f:8110/128"
  "64:ff9b::a9fe:0/112" "64:ff9b::ac10:0/108" "64:ff9b::c000:0/120" "64:ff9b::c000:200/120" "64:ff9b::c058:6300/120"
  "64:ff9b::c0a8:0/112" "64:ff9b::c612:0/111" "64:ff9b::c633:6400/120" "64:ff9b::cb00:7100/120" "64:ff9b::e000:0/100"
  "64:ff9b::f000:0/100" -}}
{{- range .Values.networkPolicy.ownNetworks -}}
{{- if contains ":" . -}}{{- $six = append $six (include "lean-payments.cidr" .) -}}
{{- else -}}{{- $four = append $four (include "lean-payments.cidr" .) -}}
{{- end -}}
{{- end -}}
- ipBlock: {cidr: 0.0.0.0/0, except: {{ toJson $four }}}
- ipBlock: {cidr: "2000::/3", except: {{ toJson $six }}}
- ipBlock: {cidr: "64:ff9b::/96", except: {{ toJson $translated }}}
{{- end -}}

{{- /* Networks that hold everybody, of those given, as a JSON list. */ -}}
{{- define "lean-payments.tooWide" -}}
{{- $found := list -}}
{{- range compact . -}}
{{- $bits := regexFind "/[0-9]+$" . | trimPrefix "/" | default "128" | atoi -}}
{{- $least := contains ":" . | ternary 24 12 -}}
{{- if regexMatch "^(10|127)[.]" . -}}{{- $least = 8 -}}
{{- else if regexMatch "^100[.](6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])[.]" . -}}{{- $least = 10 -}}
{{- else if regexMatch "^[fF]([cCdD]|[eE][89abAB])[0-9a-fA-F]{2}:" . -}}{{- $least = 7 -}}
{{- else if regexMatch "^(0*:)*(:|0:)*[fF]{4}:" . -}}{{- $least = 108 -}}{{- /* IPv4 in IPv6 */ -}}
{{- end -}}
{{- if lt $bits $least -}}{{- $found = append $found . -}}{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}
