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
  secret:
    secretName: {{ .Values.secrets.existingSecret }}
    defaultMode: 0440
- name: tmp
  emptyDir: {medium: Memory, sizeLimit: 32Mi}
{{- end -}}

{{- define "lean-payments.probe" -}}
httpGet: {path: /health/{{ .path }}, port: {{ .port }}}
timeoutSeconds: 3
{{- end -}}

{{- /* A Deployment of one component. Arguments: root, component, part (its values), port (of the probes). */ -}}
{{- define "lean-payments.deployment" -}}
{{- $root := .root -}}
{{- $part := .part -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "lean-payments.fullname" $root }}-{{ .component }}
  labels:
    {{- include "lean-payments.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  {{- if not $part.autoscaling.enabled }}
  replicas: {{ $part.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 25%, maxUnavailable: 0}
  selector:
    matchLabels:
      {{- include "lean-payments.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
  template:
    metadata:
      labels:
        {{- include "lean-payments.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
      {{- with $part.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "lean-payments.serviceAccount" $root }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ $part.terminationGracePeriodSeconds }}
      {{- with $root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      securityContext:
        {{- include "lean-payments.podSecurity" $root | nindent 8 }}
      topologySpreadConstraints:
        {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - maxSkew: 1
          topologyKey: {{ . }}
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "lean-payments.selector" $root | nindent 14 }}
              app.kubernetes.io/component: {{ $.component }}
        {{- end }}
      {{- with $part.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- range $field := list "nodeSelector" "tolerations" "affinity" }}
      {{- with index $part $field }}
      {{ $field }}:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- end }}
      containers:
        - name: {{ .component }}
          image: {{ include "lean-payments.image" $root | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          command: [payments, {{ eq .component "api" | ternary "serve" "worker" }}]
          ports:
            {{- if eq .component "api" }}
            - {name: http, containerPort: 8000}
            {{- end }}
            - {name: admin, containerPort: 9090}
          env:
            {{- include "lean-payments.env" $root | nindent 12 }}
          startupProbe:
            {{- include "lean-payments.probe" (dict "path" "live" "port" .port) | nindent 12 }}
            periodSeconds: 2
            failureThreshold: 30
          readinessProbe:
            {{- include "lean-payments.probe" (dict "path" "ready" "port" .port) | nindent 12 }}
            periodSeconds: 5
            failureThreshold: 2
          livenessProbe:
            {{- include "lean-payments.probe" (dict "path" "live" "port" .port) | nindent 12 }}
            periodSeconds: 10
            failureThreshold: 6
          lifecycle:
            preStop:
              httpGet: {path: /drain, port: admin}
          resources:
            {{- toYaml $part.resources | nindent 12 }}
          securityContext:
            {{- include "lean-payments.containerSecurity" $root | nindent 12 }}
          volumeMounts:
            {{- include "lean-payments.mounts" $root | nindent 12 }}
            {{- with $root.Values.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        {{- include "lean-payments.volumes" $root | nindent 8 }}
        {{- with $root.Values.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end -}}
