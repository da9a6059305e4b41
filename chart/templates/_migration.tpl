{{- /* The specification of a Job that migrates. Arguments: root, phase (expand, which is the hook, or contract). */ -}}
{{- define "lean-payments.migrationJob" -}}
{{- $root := .root -}}
backoffLimit: 2
activeDeadlineSeconds: {{ $root.Values.migrations.activeDeadlineSeconds }}
podReplacementPolicy: Failed
podFailurePolicy:
  rules:
    # refused settings, lint, schema, a failing statement, another environment's database: another try changes nothing
    # (exit codes: docs/contracts.md)
    - action: FailJob
      onExitCodes: {containerName: migrate, operator: In, values: [2, 4, 5, 6, 7, 8]}
    - action: Ignore
      onPodConditions:
        - {type: DisruptionTarget, status: "True"}
template:
  metadata:
    {{- $own := printf "%s\napp.kubernetes.io/component: migrate" (include "lean-payments.labels" $root) }}
    {{- include "lean-payments.podMetadata" (dict "root" $root "pods" "jobs" "labels" $own) | nindent 4 }}
  spec:
    restartPolicy: Never
    {{- with include "lean-payments.podAccount" (dict "root" $root "pods" "jobs" "hook" (eq .phase "expand")) }}
    {{- . | nindent 4 }}
    {{- end }}
    automountServiceAccountToken: false
    {{- include "lean-payments.podSpec" (dict "root" $root "pods" "jobs") | nindent 4 }}
    containers:
      - {{- include "lean-payments.migrate" . | nindent 8 }}
    volumes:
      {{- include "lean-payments.volumes" (dict "root" $root "container" "migrate") | nindent 6 }}
      {{- with include "lean-payments.migration" (dict "root" $root "what" "volumes") }}
      {{- . | trim | nindent 6 }}
      {{- end }}
      {{- with include "lean-payments.podFurther" (dict "root" $root "pods" "jobs" "what" "volumes") }}
      {{- . | nindent 6 }}
      {{- end }}
{{- end -}}
