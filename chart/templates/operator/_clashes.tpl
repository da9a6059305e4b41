{{- /* Names of what the values name or add that are the operator's own for its objects (docs/contracts.md), as a JSON
       list of problems: it writes over nothing of others, and would refuse them only once it runs. */ -}}
{{- define "lean-payments.clashes" -}}
{{- $problems := list -}}
{{- if .Values.operator.enabled -}}
{{- $environment := include "lean-payments.fullname" . -}}
{{- $own := dict
  "Secret" "(webhook-secrets|webhook-signing-keys|secret-keys|migration|database-roles|credentials-[0-9a-f]{10})"
  "ConfigMap" "worker"
  "Service" "(api|api-preview|metrics)"
  "HorizontalPodAutoscaler" "(api|worker)"
  "Deployment" "(api|worker)-[0-9a-f]{8}"
  "PodDisruptionBudget" "(api|worker)-[0-9a-f]{8}"
  "Job" "(plan|expand|smoke|contract)-[0-9a-f]{8}-a[0-9]+"
  "ControllerRevision" "[0-9a-f]{8}" -}}
{{- $named := list
  (list "secrets.existingSecret" "Secret" .Values.secrets.existingSecret)
  (list "secrets.migrationSecret" "Secret" .Values.secrets.migrationSecret)
  (list "database.existingSecret" "Secret" .Values.database.existingSecret)
  (list "webhookEndpoints.existingSecret" "Secret" .Values.webhookEndpoints.existingSecret)
  (list "database.ca.secret" "Secret" .Values.database.ca.secret)
  (list "database.ca.configMap" "ConfigMap" .Values.database.ca.configMap)
  (list "database.cloudNativePG.backup.credentialsSecret" "Secret" .Values.database.cloudNativePG.backup.credentialsSecret)
  (list "backup.objectStorage.configSecret" "Secret" .Values.backup.objectStorage.configSecret)
  (list "ingress.tlsSecret" "Secret" .Values.ingress.tlsSecret) -}}
{{- $spec := .Values.operator.spec -}}
{{- range $path := list "secretKeyRef" "redis.urlSecretRef" "stripe.apiKey.secretRef" "stripe.webhook.secretRef"
  "database.urlSecretRef" "database.replicaUrlSecretRef" "database.migrationUrlSecretRef" "database.rotation.adminSecretRef" -}}
{{- $reference := $spec -}}
{{- range splitList "." $path -}}{{- $reference = dig . dict $reference -}}{{- end -}}
{{- $named = append $named (list (printf "operator.spec.%s.name" $path) "Secret" (dig "name" "" $reference)) -}}
{{- end -}}
{{- range $place, $object := .Values.extraObjects -}}
{{- $read := tpl (toYaml $object) $ | fromYaml -}}
{{- $named = append $named (list (printf "extraObjects[%d].metadata.name" $place) (dig "kind" "" $read) (dig "metadata" "name" "" $read)) -}}
{{- end -}}
{{- range $named -}}
{{- $value := index . 0 -}}{{- $kind := index . 1 -}}{{- $name := index . 2 -}}
{{- $pattern := get $own $kind -}}
{{- if and $name $pattern (regexMatch (printf "^%s-%s$" $environment $pattern) $name) -}}
{{- $problems = append $problems (printf "%s=%s is the name of a %s that the operator makes: copy it under another name and set that, or set fullnameOverride." $value $name $kind) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}
