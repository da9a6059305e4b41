{{- define "lean-payments.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* The environment's name. Two aliases of the chart in one release never get one: only a release that is called like
       the alias leaves it out, and what is too long ends in a hash of the whole. */ -}}
{{- define "lean-payments.fullname" -}}
{{- $name := include "lean-payments.name" . -}}
{{- $same := or (eq .Release.Name $name) (and .Chart.IsRoot (contains $name .Release.Name)) -}}
{{- $full := default ($same | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) .Values.fullnameOverride -}}
{{- if gt (len $full) 40 -}}
{{- $full = printf "%s-%s" ($full | trunc 31 | trimSuffix "-") ($full | sha256sum | trunc 8) -}}
{{- end -}}
{{- $full -}}
{{- end -}}

{{- /* The version as labels and tags can have it: neither takes the + of build metadata. */ -}}
{{- define "lean-payments.version" -}}
{{- .Chart.AppVersion | replace "+" "_" -}}
{{- end -}}

{{- define "lean-payments.chartLabel" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimAll "-_." }}
{{- end -}}

{{- define "lean-payments.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}{{ $image.repository }}@{{ $image.digest }}
{{- else -}}{{ $image.repository }}:{{ default (include "lean-payments.version" .) $image.tag }}{{- end -}}
{{- end -}}

{{- /* Images of others: in live mode the value names one by its digest, else there is a default. */ -}}
{{- define "lean-payments.knownBackupImage" -}}{{ eq .Values.database.kind "mariadb" | ternary "mariadb:11.8" "postgres:18" }}{{- end -}}
{{- define "lean-payments.backupImage" -}}{{ default (include "lean-payments.knownBackupImage" .) .Values.backup.image }}{{- end -}}
{{- define "lean-payments.rcloneImage" -}}{{ default "rclone/rclone:1.76" .Values.backup.objectStorage.image }}{{- end -}}

{{- define "lean-payments.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}{{ include "lean-payments.fullname" . }}{{- else -}}{{ default "default" .Values.serviceAccount.name }}{{- end -}}
{{- end -}}

{{- /* The Service that Ingress, HTTPRoute and helm test reach the API through. */ -}}
{{- define "lean-payments.apiService" -}}
{{ include "lean-payments.fullname" . }}-api
{{- end -}}

{{- /* The kinds of addresses that a Service has. */ -}}
{{- define "lean-payments.ipFamilies" -}}
{{- with .Values.service.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.service.ipFamilies }}
ipFamilies: {{ toJson . }}
{{- end }}
{{- end -}}

{{- define "lean-payments.databasePort" -}}
{{- .Values.networkPolicy.databasePort | default (eq .Values.database.kind "mariadb" | ternary 3306 5432) -}}
{{- end -}}

{{- define "lean-payments.cnpgCluster" -}}
{{ include "lean-payments.fullname" . }}-db
{{- end -}}

{{- define "lean-payments.selector" -}}
app.kubernetes.io/name: lean-payments
app.kubernetes.io/instance: {{ include "lean-payments.fullname" . }}
{{- end -}}

{{- define "lean-payments.labels" -}}
{{ include "lean-payments.selector" . }}
app.kubernetes.io/version: {{ include "lean-payments.version" . | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "lean-payments.chartLabel" . }}
payments.leanconstruction.io/environment: {{ include "lean-payments.fullname" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* The labels by which Prometheus knows this environment's series. */ -}}
{{- define "lean-payments.series" -}}
namespace={{ .Release.Namespace | quote }},environment={{ include "lean-payments.fullname" . | quote }}
{{- end -}}
