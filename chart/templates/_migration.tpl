{{- /* The specification of a Job that migrates. Arguments: root, phase (expand or contract). */ -}}
{{- define "lean-payments.migrationJob" -}}
{{- $root := .root -}}
backoffLimit: 2
activeDeadlineSeconds: {{ $root.Values.migrations.activeDeadlineSeconds }}
podReplacementPolicy: Failed
podFailurePolicy:
  rules:
    # refused settings, lint, schema, a failing statement: another try changes nothing (exit codes: docs/contracts.md)
    - action: FailJob
      onExitCodes: {containerName: migrate, operator: In, values: [2, 4, 5, 6, 7]}
    - action: Ignore
      onPodConditions:
        - {type: DisruptionTarget, status: "True"}
template:
  metadata:
    labels:
      {{- include "lean-payments.labels" $root | nindent 6 }}
      app.kubernetes.io/component: migrate
  spec:
    restartPolicy: Never
    automountServiceAccountToken: false
    enableServiceLinks: false
    {{- with include "lean-payments.pullSecrets" $root }}
    {{- . | trim | nindent 4 }}
    {{- end }}
    securityContext:
      {{- include "lean-payments.podSecurity" $root | nindent 6 }}
    containers:
      - {{- include "lean-payments.migrate" . | nindent 8 }}
    volumes:
      {{- include "lean-payments.volumes" (dict "root" $root "container" "migrate") | nindent 6 }}
      {{- with include "lean-payments.migration" (dict "root" $root "what" "volumes") }}
      {{- . | trim | nindent 6 }}
      {{- end }}
{{- end -}}
