{{- /* The fields of one component's pods, as JSON: those of all, with its own laid over them as the operator lays
       spec.pods (operator/src/payment_operator/resources/pod_fields.py). Arguments: root, pods (the name under pods). */ -}}
{{- define "lean-payments.podFields" -}}
{{- $all := .root.Values.pods -}}
{{- $own := index $all .pods -}}
{{- $fields := dict -}}
{{- range $name := list "labels" "annotations" "nodeSelector" "affinity" "securityContext" -}}
{{- $_ := set $fields $name (mergeOverwrite (deepCopy (index $all $name)) (deepCopy (default dict (index $own $name)))) -}}
{{- end -}}
{{- range $name := list "tolerations" "topologySpreadConstraints" "priorityClassName" -}}
{{- $_ := set $fields $name (default (index $all $name) (index $own $name)) -}}
{{- end -}}
{{- $further := dict "volumes" list "volumeMounts" list -}}
{{- if has .pods (list "api" "worker" "jobs" "test") -}}
{{- $further = dict "volumes" .root.Values.extraVolumes "volumeMounts" .root.Values.extraVolumeMounts -}}
{{- end -}}
{{- range $name, $items := $further -}}
{{- $mine := default list (index $own $name) -}}
{{- $names := list -}}
{{- range $mine -}}{{- $names = append $names .name -}}{{- end -}}
{{- $found := list -}}
{{- range $items -}}{{- if not (has .name $names) -}}{{- $found = append $found . -}}{{- end -}}{{- end -}}
{{- $_ := set $fields $name (concat $found $mine) -}}
{{- end -}}
{{- $_ := set $fields "serviceAccountName" (index $own "serviceAccountName") -}}
{{- toJson $fields -}}
{{- end -}}

{{- /* Labels and annotations of a component's pods; the chart's own labels win.
       Arguments: root, pods, labels (the chart's own, as YAML), annotations (further ones, a map). */ -}}
{{- define "lean-payments.podMetadata" -}}
{{- $fields := include "lean-payments.podFields" . | fromJson -}}
labels:
  {{- merge (fromYaml .labels) $fields.labels | toYaml | nindent 2 }}
{{- with merge $fields.annotations (default dict .annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* What every pod has beside its containers and volumes. Arguments: root, pods, ids (user and group), spread (the
       default constraints, as YAML). */ -}}
{{- define "lean-payments.podSpec" -}}
{{- $fields := include "lean-payments.podFields" . | fromJson -}}
{{- with include "lean-payments.pullSecrets" .root }}
{{- . | trim }}
{{ end -}}
enableServiceLinks: false
{{- $security := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- if eq .root.Values.pods.userIds "Fixed" -}}
{{- $id := default 10001 .ids -}}
{{- $_ := merge $security (dict "runAsUser" $id "runAsGroup" $id "fsGroup" $id) -}}
{{- end }}
securityContext:
  {{- mergeOverwrite $security $fields.securityContext | toYaml | nindent 2 }}
{{- range $field := list "priorityClassName" "nodeSelector" "tolerations" "affinity" }}
{{- with index $fields $field }}
{{ $field }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- if $fields.topologySpreadConstraints }}
topologySpreadConstraints: {{ toJson $fields.topologySpreadConstraints }}
{{- else if .spread }}
topologySpreadConstraints:
  {{- .spread | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* The account of a component's pods. Arguments: root, pods, hook (it runs before a created account exists). */ -}}
{{- define "lean-payments.podAccount" -}}
{{- $own := (include "lean-payments.podFields" . | fromJson).serviceAccountName -}}
{{- if $own -}}
serviceAccountName: {{ $own }}
{{- else if not (and .hook .root.Values.serviceAccount.create) -}}
serviceAccountName: {{ include "lean-payments.serviceAccount" .root }}
{{- end -}}
{{- end -}}

{{- /* Further volumes or mounts of a component's pods. Arguments: root, pods, what (volumes or volumeMounts). */ -}}
{{- define "lean-payments.podFurther" -}}
{{- with index (include "lean-payments.podFields" . | fromJson) .what -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{- /* Constraints that spread pods over these topologies, if possible. Arguments: selector (as YAML), keys. */ -}}
{{- define "lean-payments.spread" -}}
{{- range .keys }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- $.selector | nindent 6 }}
{{- end }}
{{- end -}}
