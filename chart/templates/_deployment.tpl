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
  {{- if not (or $part.autoscaling.enabled (and $part.keda $part.keda.enabled)) }}
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
      {{- $own := printf "%s\napp.kubernetes.io/component: %s" (include "lean-payments.labels" $root) .component }}
      {{- $datadog := include "lean-payments.datadog" . | fromJson }}
      {{- include "lean-payments.podMetadata" (dict "root" $root "pods" .component "labels" $own "annotations" $datadog) | nindent 6 }}
    spec:
      {{- include "lean-payments.podAccount" (dict "root" $root "pods" .component) | nindent 6 }}
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: {{ $part.terminationGracePeriodSeconds }}
      {{- $selector := printf "%s\napp.kubernetes.io/component: %s" (include "lean-payments.selector" $root) .component }}
      {{- $spread := include "lean-payments.spread" (dict "selector" $selector "keys" (list "kubernetes.io/hostname" "topology.kubernetes.io/zone")) }}
      {{- include "lean-payments.podSpec" (dict "root" $root "pods" .component "spread" (trim $spread)) | nindent 6 }}
      {{- if eq $root.Values.migrations.mode "initContainer" }}
      initContainers:
        - {{- include "lean-payments.migrate" (dict "root" $root "phase" "expand" "pods" .component) | nindent 10 }}
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
            {{- include "lean-payments.env" (dict "root" $root "container" .component) | nindent 12 }}
          startupProbe:
            {{- include "lean-payments.probe" (dict "path" "live" "port" .port) | nindent 12 }}
            periodSeconds: 2
            {{- /* five minutes: to kill what starts slowly on a busy node makes it start again */}}
            failureThreshold: 150
          readinessProbe:
            {{- include "lean-payments.probe" (dict "path" "ready" "port" .port) | nindent 12 }}
            periodSeconds: 5
            failureThreshold: 2
          livenessProbe:
            {{- include "lean-payments.probe" (dict "path" "live" "port" .port) | nindent 12 }}
            periodSeconds: 10
            failureThreshold: 6
          {{- if eq .component "api" }}
          lifecycle:
            preStop:
              # in the pod: strict mTLS keeps the kubelet's HTTP out
              exec: {command: [payments, drain]}
          {{- end }}
          resources:
            {{- toYaml $part.resources | nindent 12 }}
          securityContext:
            {{- include "lean-payments.containerSecurity" $root | nindent 12 }}
          volumeMounts:
            {{- include "lean-payments.mounts" (dict "root" $root "container" .component) | nindent 12 }}
            {{- with include "lean-payments.podFurther" (dict "root" $root "pods" .component "what" "volumeMounts") }}
            {{- . | nindent 12 }}
            {{- end }}
      volumes:
        {{- include "lean-payments.volumes" (dict "root" $root "container" .component) | nindent 8 }}
        {{- if eq $root.Values.migrations.mode "initContainer" }}
        {{- include "lean-payments.secretVolume" (dict "root" $root "container" "migrate") | nindent 8 }}
        {{- with include "lean-payments.migration" (dict "root" $root "what" "volumes") }}
        {{- . | trim | nindent 8 }}
        {{- end }}
        {{- end }}
        {{- with include "lean-payments.podFurther" (dict "root" $root "pods" .component "what" "volumes") }}
        {{- . | nindent 8 }}
        {{- end }}
{{- end -}}
