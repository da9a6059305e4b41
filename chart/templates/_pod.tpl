{{- define "lean-payments.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* The secrets that a container gets: no container has one that it does not use. The smoke test makes an API key, for
       its round trip, in test mode only. Arguments: root, container (its name). */ -}}
{{- define "lean-payments.secretKeys" -}}
{{- $makesKey := eq .root.Values.config.stripeMode "test" | ternary (list "SECRET_KEY") list -}}
{{- $signs := empty .root.Values.webhookEndpoints.existingSecret | ternary list (list "WEBHOOK_SIGNING_KEY") -}}
{{- $keys := dict
  "api" (concat (list "DATABASE_URL" "REDIS_URL" "STRIPE_SECRET_KEY" "STRIPE_WEBHOOK_SECRET" "SECRET_KEY") $signs)
  "worker" (concat (list "DATABASE_URL" "REDIS_URL" "STRIPE_SECRET_KEY") $signs)
  "migrate" (list "DATABASE_URL")
  "smoke" (concat (list "DATABASE_URL" "STRIPE_SECRET_KEY" "STRIPE_WEBHOOK_SECRET") $makesKey)
  "backup" (list "DATABASE_URL")
  "restore" (list "DATABASE_URL") -}}
{{- get $keys .container | toJson -}}
{{- end -}}

{{- /* The object with the certificates of the database's authority, as JSON {configMap or secret, key}; empty: none. */ -}}
{{- define "lean-payments.authority" -}}
{{- $ca := .Values.database.ca -}}
{{- $source := dict -}}
{{- if $ca.configMap -}}{{- $source = dict "configMap" $ca.configMap "key" $ca.key -}}
{{- else if $ca.secret -}}{{- $source = dict "secret" $ca.secret "key" $ca.key -}}
{{- else if .Values.database.cloudNativePG.enabled -}}{{- $source = dict "secret" (printf "%s-ca" (include "lean-payments.cnpgCluster" .)) "key" "ca.crt" -}}
{{- end -}}
{{- with $source -}}{{- toJson . -}}{{- end -}}
{{- end -}}

{{- /* What a container that talks to the database has to verify it; MariaDB's addresses
       take the authority of the same variable. Arguments: root, what (env, mounts, volumes). */ -}}
{{- define "lean-payments.databaseAuthority" -}}
{{- with include "lean-payments.authority" .root -}}
{{- $source := fromJson . -}}
{{- if eq $.what "env" }}
- {name: PGSSLMODE, value: verify-full}
- {name: PGSSLROOTCERT, value: /run/config/database-ca/ca.crt}
{{- else if eq $.what "mounts" }}
- {name: database-ca, mountPath: /run/config/database-ca, readOnly: true}
{{- else }}
- name: database-ca
  {{- if $source.configMap }}
  configMap:
    name: {{ $source.configMap }}
  {{- else }}
  secret:
    secretName: {{ $source.secret }}
    defaultMode: 0440
  {{- end }}
    items: [{key: {{ $source.key }}, path: ca.crt}]
{{- end }}
{{- end }}
{{- end -}}

{{- /* The settings of config.door, by the service's names. */ -}}
{{- define "lean-payments.door" -}}
{{- $settings := dict -}}
{{- $names := list "firstByteTimeoutSeconds" "headTimeoutSeconds" "headMaxBytes" "headMaxFields" "bodyTimeoutSeconds"
  "bodyMinBytesPerSecond" "answerTimeoutSeconds" "keepAliveSeconds" "maxConnections" "maxHeldBytes" -}}
{{- range $name := $names -}}
{{- $_ := set $settings (printf "PAYMENTS_%s" (snakecase $name | upper)) (index $.Values.config.door $name | int64 | toString) -}}
{{- end -}}
{{- toJson $settings -}}
{{- end -}}

{{- /* The settings of the webhooks that are sent, by the service's names; none without a key to sign with. */ -}}
{{- define "lean-payments.webhookSettings" -}}
{{- $settings := dict -}}
{{- with .Values.webhookEndpoints -}}
{{- if .existingSecret -}}
{{- $_ := set $settings "PAYMENTS_DELIVERY_RETENTION_DAYS" (.retentionDays | int64 | toString) -}}
{{- if .allowedNetworks -}}{{- $_ := set $settings "PAYMENTS_WEBHOOK_ALLOWED_NETWORKS" (join "," .allowedNetworks) -}}{{- end -}}
{{- if .allowHttp -}}{{- $_ := set $settings "PAYMENTS_WEBHOOK_ALLOW_HTTP" "true" -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $settings -}}
{{- end -}}

{{- /* The settings of a container. Arguments: root, container (its name). */ -}}
{{- define "lean-payments.env" -}}
{{- $keys := include "lean-payments.secretKeys" . | fromJsonArray -}}
{{- with .root -}}
- {name: ENVIRONMENT, value: production}
- {name: PAYMENTS_ENVIRONMENT_NAME, value: {{ printf "%s/%s" .Release.Namespace (include "lean-payments.fullname" .) | quote }}}
- {name: PAYMENTS_STRIPE_MODE, value: {{ .Values.config.stripeMode }}}
- {name: LOG_LEVEL, value: {{ .Values.config.logLevel }}}
- {name: PAYMENTS_DRAIN_SECONDS, value: {{ .Values.config.drainSeconds | quote }}}
- {name: PAYMENTS_DATABASE_POOL_SIZE, value: {{ .Values.config.databasePoolSize | quote }}}
- {name: PAYMENTS_CREATE_LIMIT_PER_MINUTE, value: {{ .Values.config.createLimitPerMinute | quote }}}
- {name: PAYMENTS_REQUIRE_IDEMPOTENCY_KEY, value: {{ .Values.config.requireIdempotencyKey | quote }}}
{{- with .Values.config.stripeApiBase }}
- {name: STRIPE_API_BASE, value: {{ . | quote }}}
{{- end }}
{{- with .Values.config.allowPlaintext }}
- {name: PAYMENTS_ALLOW_PLAINTEXT, value: {{ join "," . | quote }}}
{{- end }}
{{- with .Values.config.allowedOrigins }}
- {name: ALLOWED_ORIGINS, value: {{ join "," . | quote }}}
{{- end }}
{{- with .Values.config.trustedProxies }}
- {name: PAYMENTS_TRUSTED_PROXIES, value: {{ join "," . | quote }}}
{{- end }}
{{- range $name, $value := include "lean-payments.webhookSettings" . | fromJson }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- with include "lean-payments.databaseAuthority" (dict "root" . "what" "env") }}
{{ trim . }}
{{- end }}
{{- if has $.container (list "api" "worker") }}
{{- range $name, $value := include "lean-payments.door" . | fromJson }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
{{- range $keys }}
- {name: {{ . }}_FILE, value: /run/secrets/payments/{{ . }}}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Arguments: root, container (its name). */ -}}
{{- define "lean-payments.mounts" -}}
- {name: {{ .container }}-secrets, mountPath: /run/secrets/payments, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- include "lean-payments.databaseAuthority" (dict "root" .root "what" "mounts") }}
{{- end -}}

{{- /* Secrets that are not in secrets.existingSecret, as JSON: {name, key, path} by the setting. */ -}}
{{- define "lean-payments.otherSecrets" -}}
{{- $found := dict -}}
{{- if .Values.database.cloudNativePG.enabled -}}
{{- $_ := set $found "DATABASE_URL" (dict "name" (printf "%s-app" (include "lean-payments.cnpgCluster" .)) "key" "uri" "path" "DATABASE_URL") -}}
{{- else if .Values.database.existingSecret -}}
{{- $_ := set $found "DATABASE_URL" (dict "name" .Values.database.existingSecret "key" .Values.database.existingSecretKey "path" "DATABASE_URL") -}}
{{- end -}}
{{- with .Values.webhookEndpoints -}}
{{- if .existingSecret -}}
{{- $_ := set $found "WEBHOOK_SIGNING_KEY" (dict "name" .existingSecret "key" .existingSecretKey "path" "WEBHOOK_SIGNING_KEY") -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- /* The volume with the keys of one container. Arguments: root, container. */ -}}
{{- define "lean-payments.secretVolume" -}}
{{- $keys := include "lean-payments.secretKeys" . | fromJsonArray -}}
- name: {{ .container }}-secrets
  {{- with .root }}
  {{- $elsewhere := include "lean-payments.otherSecrets" . | fromJson }}
  {{- $shared := list }}
  {{- range $keys }}{{ if not (hasKey $elsewhere .) }}{{ $shared = append $shared . }}{{ end }}{{ end }}
  {{- if lt (len $shared) (len $keys) }}
  projected:
    defaultMode: 0440
    sources:
      {{- if $shared }}
      - secret:
          name: {{ .Values.secrets.existingSecret }}
          items:
            {{- range $shared }}
            - {key: {{ . }}, path: {{ . }}}
            {{- end }}
      {{- end }}
      {{- range $keys }}
      {{- with get $elsewhere . }}
      - secret:
          name: {{ .name }}
          items: [{key: {{ .key }}, path: {{ .path }}}]
      {{- end }}
      {{- end }}
  {{- else }}
  secret:
    secretName: {{ .Values.secrets.existingSecret }}
    defaultMode: 0440
    items:
      {{- range $keys }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
  {{- end }}
  {{- end }}
{{- end -}}

{{- /* The volumes of a pod whose one container is the service's. Arguments: root, container. */ -}}
{{- define "lean-payments.volumes" -}}
{{ include "lean-payments.secretVolume" . }}
- name: tmp
  emptyDir: {medium: Memory, sizeLimit: 32Mi}
{{- include "lean-payments.databaseAuthority" (dict "root" .root "what" "volumes") }}
{{- end -}}

{{- define "lean-payments.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- /* What a container that migrates has beside the others: the owner role's URL. Arguments: root, what (env, mounts, volumes). */ -}}
{{- define "lean-payments.migration" -}}
{{- with .root.Values.secrets.migrationSecret }}
{{- if eq $.what "env" }}
- {name: DATABASE_MIGRATION_URL_FILE, value: /run/secrets/migration/DATABASE_MIGRATION_URL}
{{- else if eq $.what "mounts" }}
- {name: migration, mountPath: /run/secrets/migration, readOnly: true}
{{- else }}
- name: migration
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items: [{key: DATABASE_MIGRATION_URL, path: DATABASE_MIGRATION_URL}]
{{- end }}
{{- end }}
{{- end -}}

{{- /* The container that migrates. Arguments: root, phase (expand or contract), pods (whose it is; jobs). One before a
       pod of API or worker starts it in a restored copy, too, which names the former environment. */ -}}
{{- define "lean-payments.migrate" -}}
{{- $root := .root -}}
{{- $flags := printf "--%s%s" .phase (empty .pods | ternary "" " --lenient") -}}
name: migrate
image: {{ include "lean-payments.image" $root | quote }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
{{- if and $root.Values.secrets.migrationSecret (eq .phase "expand") }}
# as the owner; then the application's role gets rows and no DDL
command: [sh, -c, "payments migrate {{ $flags }} && payments database grants --apply"]
{{- else }}
command: [payments, migrate, {{ $flags | replace " " ", " }}]
{{- end }}
env:
  {{- include "lean-payments.env" (dict "root" $root "container" "migrate") | nindent 2 }}
  - {name: PAYMENTS_TERMINATION_LOG, value: /dev/termination-log}
  {{- with include "lean-payments.migration" (dict "root" $root "what" "env") }}
  {{- . | trim | nindent 2 }}
  {{- end }}
resources:
  {{- toYaml $root.Values.migrations.resources | nindent 2 }}
securityContext:
  {{- include "lean-payments.containerSecurity" $root | nindent 2 }}
volumeMounts:
  {{- include "lean-payments.mounts" (dict "root" $root "container" "migrate") | nindent 2 }}
  {{- with include "lean-payments.migration" (dict "root" $root "what" "mounts") }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  {{- with include "lean-payments.podFurther" (dict "root" $root "pods" (default "jobs" .pods) "what" "volumeMounts") }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- /* The annotations by which Datadog scrapes a component's pods, as JSON. Arguments: root, component. */ -}}
{{- define "lean-payments.datadog" -}}
{{- $annotations := dict -}}
{{- with .root.Values.monitoring.datadog -}}
{{- if .enabled -}}
{{- $instance := dict "openmetrics_endpoint" "http://%%host%%:9090/metrics" "namespace" .namespace "metrics" (list ".*") -}}
{{- $check := dict "openmetrics" (dict "init_config" dict "instances" (list $instance)) -}}
{{- $_ := set $annotations (printf "ad.datadoghq.com/%s.checks" $.component) (toJson $check) -}}
{{- end -}}
{{- end -}}
{{- toJson $annotations -}}
{{- end -}}

{{- define "lean-payments.probe" -}}
httpGet: {path: /health/{{ .path }}, port: {{ .port }}}
timeoutSeconds: 3
{{- end -}}
