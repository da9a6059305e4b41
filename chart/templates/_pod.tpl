{{- define "lean-payments.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "lean-payments.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "lean-payments.env" -}}
- {name: ENVIRONMENT, value: production}
- {name: PAYMENTS_STRIPE_MODE, value: {{ .Values.config.stripeMode }}}
- {name: LOG_LEVEL, value: {{ .Values.config.logLevel }}}
- {name: PAYMENTS_DRAIN_SECONDS, value: {{ .Values.config.drainSeconds | quote }}}
- {name: PAYMENTS_DATABASE_POOL_SIZE, value: {{ .Values.config.databasePoolSize | quote }}}
- {name: PAYMENTS_CREATE_LIMIT_PER_MINUTE, value: {{ .Values.config.createLimitPerMinute | quote }}}
- {name: PAYMENTS_REQUIRE_IDEMPOTENCY_KEY, value: {{ .Values.config.requireIdempotencyKey | quote }}}
{{- with .Values.config.stripeApiBase }}
- {name: STRIPE_API_BASE, value: {{ . | quote }}}
{{- end }}
{{- with .Values.config.allowedOrigins }}
- {name: ALLOWED_ORIGINS, value: {{ join "," . | quote }}}
{{- end }}
{{- with .Values.config.trustedProxies }}
- {name: PAYMENTS_TRUSTED_PROXIES, value: {{ join "," . | quote }}}
{{- end }}
{{- range list "DATABASE_URL" "REDIS_URL" "STRIPE_SECRET_KEY" "STRIPE_WEBHOOK_SECRET" "SECRET_KEY" }}
- {name: {{ . }}_FILE, value: /run/secrets/payments/{{ . }}}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "lean-payments.mounts" -}}
- {name: secrets, mountPath: /run/secrets/payments, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- end -}}

{{- define "lean-payments.volumes" -}}
- name: secrets
  {{- $database := .Values.database.existingSecret }}
  {{- $key := .Values.database.existingSecretKey }}
  {{- if .Values.database.cloudNativePG.enabled }}
  {{- $database = printf "%s-app" (include "lean-payments.cnpgCluster" .) }}
  {{- $key = "uri" }}
  {{- end }}
  {{- if $database }}
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ .Values.secrets.existingSecret }}
          items:
            {{- range list "REDIS_URL" "STRIPE_SECRET_KEY" "STRIPE_WEBHOOK_SECRET" "SECRET_KEY" }}
            - {key: {{ . }}, path: {{ . }}}
            {{- end }}
      - secret:
          name: {{ $database }}
          items: [{key: {{ $key }}, path: DATABASE_URL}]
  {{- else }}
  secret:
    secretName: {{ .Values.secrets.existingSecret }}
    defaultMode: 0440
  {{- end }}
- name: tmp
  emptyDir: {medium: Memory, sizeLimit: 32Mi}
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

{{- /* The container that migrates. Arguments: root, phase (expand or contract). */ -}}
{{- define "lean-payments.migrate" -}}
{{- $root := .root -}}
name: migrate
image: {{ include "lean-payments.image" $root | quote }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
{{- if and $root.Values.secrets.migrationSecret (eq .phase "expand") }}
# as the owner; then the application's role gets rows and no DDL
command: [sh, -c, "payments migrate --expand && payments database grants --apply"]
{{- else }}
command: [payments, migrate, --{{ .phase }}]
{{- end }}
env:
  {{- include "lean-payments.env" $root | nindent 2 }}
  - {name: PAYMENTS_TERMINATION_LOG, value: /dev/termination-log}
  {{- with include "lean-payments.migration" (dict "root" $root "what" "env") }}
  {{- . | trim | nindent 2 }}
  {{- end }}
resources:
  {{- toYaml $root.Values.migrations.resources | nindent 2 }}
securityContext:
  {{- include "lean-payments.containerSecurity" $root | nindent 2 }}
volumeMounts:
  {{- include "lean-payments.mounts" $root | nindent 2 }}
  {{- with include "lean-payments.migration" (dict "root" $root "what" "mounts") }}
  {{- . | trim | nindent 2 }}
  {{- end }}
{{- end -}}

{{- /* Annotations of the pods of one part. Arguments: root, part, component. */ -}}
{{- define "lean-payments.podAnnotations" -}}
{{- $annotations := dict -}}
{{- with .root.Values.monitoring.datadog -}}
{{- if .enabled -}}
{{- $instance := dict "openmetrics_endpoint" "http://%%host%%:9090/metrics" "namespace" .namespace "metrics" (list ".*") -}}
{{- $check := dict "openmetrics" (dict "init_config" dict "instances" (list $instance)) -}}
{{- $_ := set $annotations (printf "ad.datadoghq.com/%s.checks" $.component) (toJson $check) -}}
{{- end -}}
{{- end -}}
{{- with merge (deepCopy .part.podAnnotations) $annotations -}}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{- define "lean-payments.probe" -}}
httpGet: {path: /health/{{ .path }}, port: {{ .port }}}
timeoutSeconds: 3
{{- end -}}
