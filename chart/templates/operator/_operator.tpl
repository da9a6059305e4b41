{{- define "lean-payments.operatorName" -}}
{{ include "lean-payments.fullname" . }}-operator
{{- end -}}

{{- define "lean-payments.operatorImage" -}}
{{- $image := .Values.operator.image -}}
{{- if $image.digest -}}{{ $image.repository }}@{{ $image.digest }}
{{- else -}}{{ $image.repository }}:{{ default (include "lean-payments.version" .) $image.tag }}{{- end -}}
{{- end -}}

{{- /* Not the environment's: its network policy must not hold for the operator, which talks to the API server. */ -}}
{{- define "lean-payments.operatorSelector" -}}
app.kubernetes.io/name: lean-payments
app.kubernetes.io/instance: {{ include "lean-payments.operatorName" . }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "lean-payments.operatorLabels" -}}
app.kubernetes.io/component: operator
{{ include "lean-payments.operatorMeta" . }}
{{- end -}}

{{- define "lean-payments.operatorMeta" -}}
app.kubernetes.io/name: lean-payments
app.kubernetes.io/instance: {{ include "lean-payments.operatorName" . }}
app.kubernetes.io/version: {{ include "lean-payments.version" . | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "lean-payments.chartLabel" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* What every pod from the operator's image has. Arguments: root, spread (the default constraints, as YAML). */ -}}
{{- define "lean-payments.operatorPod" -}}
{{- include "lean-payments.podSpec" (dict "root" .root "pods" "operator" "spread" .spread) }}
volumes:
  - name: tmp
    emptyDir: {medium: Memory, sizeLimit: 16Mi}
  {{- with include "lean-payments.podFurther" (dict "root" .root "pods" "operator" "what" "volumes") }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "lean-payments.operatorContainer" -}}
name: operator
image: {{ include "lean-payments.operatorImage" . | quote }}
imagePullPolicy: {{ .Values.operator.image.pullPolicy }}
env:
  - {name: LOG_LEVEL, value: {{ .Values.operator.logLevel }}}
  - name: POD_NAMESPACE
    valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
resources:
  {{- toYaml .Values.operator.resources | nindent 2 }}
securityContext:
  {{- include "lean-payments.containerSecurity" . | nindent 2 }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  {{- with include "lean-payments.podFurther" (dict "root" . "pods" "operator" "what" "volumeMounts") }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- /* What the operator may do in a namespace that it watches (docs/contracts.md). */ -}}
{{- define "lean-payments.operatorRules" -}}
- apiGroups: [payments.leanconstruction.io]
  resources: [paymentenvironments]
  verbs: [get, list, watch]
- apiGroups: [payments.leanconstruction.io]
  resources: [environmentrequests]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [payments.leanconstruction.io]
  resources: [paymentenvironments/status, environmentrequests/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments, controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, secrets, configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list]
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
{{- end -}}

{{- /* What looking at environments needs, beside the cluster's own view role. */ -}}
{{- define "lean-payments.viewerRules" -}}
- apiGroups: [payments.leanconstruction.io]
  resources: [paymentenvironments, environmentrequests]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [get, list, watch]
{{- end -}}

{{- /* The admission policy that vouches for who makes a request; cluster-wide, so its name holds the namespace. */ -}}
{{- define "lean-payments.requesterPolicy" -}}
{{ .Release.Namespace }}-{{ include "lean-payments.operatorName" . }}-requesters
{{- end -}}

{{- /* One binding of the operator's ServiceAccount. Arguments: root, kind (Role or ClusterRole), name. */ -}}
{{- define "lean-payments.operatorBinding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  name: {{ .name }}
  labels:
    {{- include "lean-payments.operatorLabels" .root | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: {{ .kind }}, name: {{ .name }}}
subjects:
  - {kind: ServiceAccount, name: {{ include "lean-payments.operatorName" .root }}, namespace: {{ .root.Release.Namespace }}}
{{- end -}}

{{- /* The labels by which Prometheus knows the operator's series. */ -}}
{{- define "lean-payments.operatorSeries" -}}
namespace={{ .Release.Namespace | quote }},job={{ include "lean-payments.operatorName" . | quote }}
{{- end -}}
