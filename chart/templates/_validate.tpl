{{- /* Collects every mistake and fails once, each message with its fix. */ -}}
{{- define "lean-payments.validate" -}}
{{- $problems := list -}}
{{- if .Values.operator.enabled -}}
{{- if and (eq .Values.config.stripeMode "live") (not .Values.image.digest) -}}
{{- $problems = append $problems "image.digest is empty: releases in live mode need an image that cannot change; set image.digest=sha256:…, or config.stripeMode=test." -}}
{{- end -}}
{{- if eq .Values.image.tag "latest" -}}
{{- $problems = append $problems "image.tag=latest can change without a release: name a version." -}}
{{- end -}}
{{- if .Values.worker.keda.enabled -}}
{{- $problems = append $problems "worker.keda.enabled: the operator scales workers itself; set worker.keda.enabled=false and use worker.autoscaling." -}}
{{- end -}}
{{- end -}}
{{- if not .Values.secrets.existingSecret -}}
{{- $problems = append $problems (printf "secrets.existingSecret is empty. Create the Secret: kubectl -n %s create secret generic lean-payments --from-literal=DATABASE_URL=… --from-literal=REDIS_URL=… --from-literal=STRIPE_SECRET_KEY=… --from-literal=STRIPE_WEBHOOK_SECRET=… --from-literal=SECRET_KEY=\"$(openssl rand -hex 32)\", then set secrets.existingSecret=lean-payments." .Release.Namespace) -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- $problems = append $problems "ingress.host is empty: set it to the API's host name." -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- $problems = append $problems "httpRoute.parentRefs is empty: name the Gateway, for example httpRoute.parentRefs[0].name=public." -}}
{{- end -}}
{{- if and .Values.certificate.enabled (not (and .Values.certificate.issuerName .Values.ingress.host)) -}}
{{- $problems = append $problems "certificate.enabled needs certificate.issuerName and ingress.host." -}}
{{- end -}}
{{- if and .Values.externalSecret.enabled (not (and .Values.externalSecret.storeName .Values.externalSecret.remoteKey)) -}}
{{- $problems = append $problems "externalSecret.enabled needs externalSecret.storeName and externalSecret.remoteKey." -}}
{{- end -}}
{{- if .Values.backup.enabled -}}
{{- $store := .Values.backup.objectStorage -}}
{{- if not (or .Values.backup.existingClaim $store.path) -}}
{{- $problems = append $problems "backup.enabled needs a place that outlives pods: create a PersistentVolumeClaim and set backup.existingClaim, or set backup.objectStorage.path." -}}
{{- end -}}
{{- if and .Values.backup.existingClaim $store.path -}}
{{- $problems = append $problems "backup.existingClaim and backup.objectStorage.path are both set: keep one." -}}
{{- end -}}
{{- if and $store.path (not $store.configSecret) -}}
{{- $problems = append $problems "backup.objectStorage.configSecret is empty: name the Secret with the RCLONE_CONFIG_… variables of the remote." -}}
{{- end -}}
{{- end -}}
{{- with .Values.database.cloudNativePG -}}
{{- if .enabled -}}
{{- if and (eq $.Values.migrations.mode "hook") (not $.Values.operator.enabled) -}}
{{- $problems = append $problems "database.cloudNativePG.enabled: the database does not exist yet when a hook runs; set migrations.mode=initContainer." -}}
{{- end -}}
{{- if $.Values.database.existingSecret -}}
{{- $problems = append $problems "database.cloudNativePG.enabled and database.existingSecret are both set: keep one." -}}
{{- end -}}
{{- if and .backup.enabled (not (and .backup.destinationPath .backup.credentialsSecret)) -}}
{{- $problems = append $problems "database.cloudNativePG.backup.enabled needs destinationPath and credentialsSecret." -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.worker.keda.enabled (not .Values.worker.keda.prometheusAddress) -}}
{{- $problems = append $problems "worker.keda.prometheusAddress is empty: set it to Prometheus's address, such as http://prometheus-operated.monitoring:9090." -}}
{{- end -}}
{{- range $name := list "api" "worker" -}}
{{- $part := index $.Values $name -}}
{{- if gt (int $part.autoscaling.minReplicas) (int $part.autoscaling.maxReplicas) -}}
{{- $problems = append $problems (printf "%s.autoscaling.minReplicas is above maxReplicas: lower it." $name) -}}
{{- end -}}
{{- if lt (int $part.terminationGracePeriodSeconds) (add (int $.Values.config.drainSeconds) 35) -}}
{{- $problems = append $problems (printf "%s.terminationGracePeriodSeconds must be at least config.drainSeconds + 35: raise it." $name) -}}
{{- end -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "\n\n%d problem(s) in the values:\n- %s\n" (len $problems) (join "\n- " $problems)) -}}
{{- end -}}
{{- end -}}
