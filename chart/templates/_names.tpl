{{- define "lean-payments.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "lean-payments.fullname" -}}
{{- $name := include "lean-payments.name" . -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- default $full .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "lean-payments.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}{{ $image.repository }}@{{ $image.digest }}
{{- else -}}{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}{{- end -}}
{{- end -}}

{{- /* Images of others: in live mode the value names one by its digest, else there is a default. */ -}}
{{- define "lean-payments.backupImage" -}}{{ default "postgres:18" .Values.backup.image }}{{- end -}}
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

{{- define "lean-payments.cnpgCluster" -}}
{{ include "lean-payments.fullname" . }}-db
{{- end -}}

{{- define "lean-payments.selector" -}}
app.kubernetes.io/name: lean-payments
app.kubernetes.io/instance: {{ include "lean-payments.fullname" . }}
{{- end -}}

{{- define "lean-payments.labels" -}}
{{ include "lean-payments.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
payments.leanconstruction.io/environment: {{ include "lean-payments.fullname" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* The labels by which Prometheus knows this environment's series. */ -}}
{{- define "lean-payments.series" -}}
namespace={{ .Release.Namespace | quote }},environment={{ include "lean-payments.fullname" . | quote }}
{{- end -}}
