{{- /* Whether money moves. */ -}}
{{- define "lean-payments.live" -}}
{{- $mode := .Values.config.stripeMode -}}
{{- if .Values.operator.enabled -}}{{- $mode = dig "stripe" "mode" $mode .Values.operator.spec -}}{{- end -}}
{{- if eq (lower $mode) "live" -}}live{{- end -}}
{{- end -}}

{{- /* What is wrong with the images that this release runs, as a JSON list: a name that can come to mean another image. */ -}}
{{- define "lean-payments.imageProblems" -}}
{{- $problems := list -}}
{{- $live := include "lean-payments.live" . -}}
{{- $ours := dict "image" .Values.image -}}
{{- if and .Values.operator.enabled .Values.operator.install -}}{{- $_ := set $ours "operator.image" .Values.operator.image -}}{{- end -}}
{{- range $name, $image := $ours -}}
{{- if and $live (not $image.digest) -}}
{{- $problems = append $problems (printf "%s.digest is empty: in live mode an image is named so that it cannot change. `docker buildx imagetools inspect %s:%s` prints its digest: set %s.digest=sha256:…, or config.stripeMode=test." $name $image.repository (default (include "lean-payments.version" $) $image.tag) $name) -}}
{{- end -}}
{{- if and (eq $image.tag "latest") (not $image.digest) -}}
{{- $problems = append $problems (printf "%s.tag=latest can change without a release: name a version." $name) -}}
{{- end -}}
{{- end -}}
{{- $theirs := dict -}}
{{- if .Values.backup.enabled -}}
{{- $_ := set $theirs "backup.image" (list .Values.backup.image (include "lean-payments.knownBackupImage" .)) -}}
{{- if .Values.backup.objectStorage.path -}}{{- $_ := set $theirs "backup.objectStorage.image" (list .Values.backup.objectStorage.image "rclone/rclone:1.76") -}}{{- end -}}
{{- end -}}
{{- with .Values.database.cloudNativePG -}}
{{- if .enabled -}}{{- $_ := set $theirs "database.cloudNativePG.imageName" (list .imageName "ghcr.io/cloudnative-pg/postgresql:18") -}}{{- end -}}
{{- end -}}
{{- if .Values.operator.enabled -}}
{{- with dig "image" "" .Values.operator.spec -}}{{- $_ := set $theirs "operator.spec.image" (list . .) -}}{{- end -}}
{{- end -}}
{{- range $name, $known := $theirs -}}
{{- $image := first $known -}}
{{- if and $live (not (regexMatch "@sha256:[0-9a-f]{64}$" $image)) -}}
{{- $problems = append $problems (printf "%s: in live mode an image is named so that it cannot change. `docker buildx imagetools inspect %s` prints the digest of an image that fits: set %s=NAME:TAG@sha256:…." $name (default (last $known) $image) $name) -}}
{{- else if and $image (not (regexMatch "(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64})$" $image) | or (hasSuffix ":latest" $image)) -}}
{{- $problems = append $problems (printf "%s=%s can change without a release: name a version or a digest." $name $image) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{- /* What is wrong with the webhooks that are sent, as a JSON list. */ -}}
{{- define "lean-payments.webhookProblems" -}}
{{- $problems := list -}}
{{- $webhooks := .Values.webhookEndpoints -}}
{{- range $name := list "allowedNetworks" "allowHttp" -}}
{{- if and (index $webhooks $name) (not $webhooks.existingSecret) -}}
{{- $problems = append $problems (printf "webhookEndpoints.%s is set, but without a key to sign with no webhooks are sent. Create one: kubectl -n %s create secret generic payments-webhooks --from-literal=WEBHOOK_SIGNING_KEY=\"$(openssl rand -hex 32)\", then set webhookEndpoints.existingSecret=payments-webhooks." $name $.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- range include "lean-payments.tooWide" $webhooks.allowedNetworks | fromJsonArray -}}
{{- $problems = append $problems (printf "webhookEndpoints.allowedNetworks: %s holds everybody, and your own machines among them. Name the receivers' networks, such as that of the cluster's Services; public addresses need no mention." .) -}}
{{- end -}}
{{- if and $webhooks.allowHttp .Values.networkPolicy.enabled (eq (toJson .Values.networkPolicy.webhookPorts) "[443]") -}}
{{- $problems = append $problems "webhookEndpoints.allowHttp: the NetworkPolicy lets webhooks out to port 443 alone; add the receivers' port, for example networkPolicy.webhookPorts={80,443}." -}}
{{- end -}}
{{- if and .Values.operator.enabled (dig "webhookEndpoints" "" .Values.operator.spec) -}}
{{- $problems = append $problems "operator.spec.webhookEndpoints: the NetworkPolicy would not know of it; set webhookEndpoints, which has the same fields." -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{- /* Collects every mistake and fails once, each message with its fix. */ -}}
{{- define "lean-payments.validate" -}}
{{- $problems := list -}}
{{- $name := include "lean-payments.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- $problems = append $problems (printf "the environment would be called %s, and a Service's name begins with a letter and holds lower-case letters, digits and - alone: set fullnameOverride." $name) -}}
{{- end -}}
{{- $problems = concat $problems (include "lean-payments.imageProblems" . | fromJsonArray) (include "lean-payments.clashes" . | fromJsonArray) -}}
{{- if and .Values.operator.enabled .Values.worker.keda.enabled -}}
{{- $problems = append $problems "worker.keda.enabled: the operator scales workers itself; set worker.keda.enabled=false and use worker.autoscaling." -}}
{{- end -}}
{{- if .Values.operator.enabled -}}
{{- range $part := list "api" "worker" -}}
{{- $pdb := (index $.Values $part).pdb -}}
{{- $keeps := "the operator keeps a PodDisruptionBudget of one pod for each revision itself; leave the value as it is, or set operator.enabled=false." -}}
{{- if not $pdb.enabled -}}{{- $problems = append $problems (printf "%s.pdb.enabled: %s" $part $keeps) -}}{{- end -}}
{{- if ne (toString $pdb.maxUnavailable) "1" -}}{{- $problems = append $problems (printf "%s.pdb.maxUnavailable: %s" $part $keeps) -}}{{- end -}}
{{- end -}}
{{- if eq .Values.migrations.mode "initContainer" -}}
{{- $problems = append $problems "migrations.mode=initContainer: the operator migrates by Jobs of its own before new pods start, also with database.cloudNativePG; leave it at hook, or set none." -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if eq .name "PAYMENTS_STRIPE_MODE" -}}
{{- $problems = append $problems "extraEnv holds PAYMENTS_STRIPE_MODE, which the chart sets: what live mode asks for would not be checked. Set config.stripeMode." -}}
{{- else if has .name (list "WEBHOOK_SIGNING_KEY" "WEBHOOK_SIGNING_KEY_FILE") -}}
{{- $problems = append $problems (printf "extraEnv holds %s, and every container would get it: set webhookEndpoints.existingSecret to the Secret's name, and only API and worker do." .name) -}}
{{- else if has .name (list "PAYMENTS_WEBHOOK_ALLOWED_NETWORKS" "PAYMENTS_WEBHOOK_ALLOW_HTTP") -}}
{{- $problems = append $problems (printf "extraEnv holds %s, and the NetworkPolicy would not know of it: set webhookEndpoints.allowedNetworks, or allowHttp." .name) -}}
{{- end -}}
{{- end -}}
{{- $problems = concat $problems (include "lean-payments.webhookProblems" . | fromJsonArray) -}}
{{- if and (or .Values.ingress.enabled .Values.httpRoute.enabled) (not (compact .Values.config.trustedProxies)) -}}
{{- $problems = append $problems "config.trustedProxies is empty: without it every client counts as the proxy's address, and one can use up the limits of all. Set it to the networks that the proxy's requests come from: the pod network for a controller in the cluster (nginx, traefik, Envoy, Contour), the subnets of the load balancer for ALB and others outside of it; docs/operations/install.md tells how to find them." -}}
{{- end -}}
{{- range include "lean-payments.tooWide" .Values.config.trustedProxies | fromJsonArray -}}
{{- $problems = append $problems (printf "config.trustedProxies: %s trusts everybody, and whoever is trusted chooses the address that limits count. Name the proxy's own networks, such as the pod network for a controller in the cluster; docs/operations/install.md tells how to find them." .) -}}
{{- end -}}
{{- if not .Values.secrets.existingSecret -}}
{{- $problems = append $problems (printf "secrets.existingSecret is empty. Create the Secret: kubectl -n %s create secret generic lean-payments --from-literal=DATABASE_URL=… --from-literal=REDIS_URL=… --from-literal=STRIPE_SECRET_KEY=… --from-literal=STRIPE_WEBHOOK_SECRET=… --from-literal=SECRET_KEY=\"$(openssl rand -hex 32)\", then set secrets.existingSecret=lean-payments." .Release.Namespace) -}}
{{- end -}}
{{- if and (gt (len .Values.service.ipFamilies) 1) (not (has .Values.service.ipFamilyPolicy (list "PreferDualStack" "RequireDualStack"))) -}}
{{- $problems = append $problems "service.ipFamilies names two: set service.ipFamilyPolicy to PreferDualStack or RequireDualStack." -}}
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
{{- if and .Values.database.ca.configMap .Values.database.ca.secret -}}
{{- $problems = append $problems "database.ca.configMap and database.ca.secret are both set: keep one." -}}
{{- end -}}
{{- if .Values.backup.enabled -}}
{{- $store := .Values.backup.objectStorage -}}
{{- if not (or .Values.backup.existingClaim $store.path) -}}
{{- $problems = append $problems "backup.enabled needs a place that outlives pods: create a PersistentVolumeClaim and set backup.existingClaim, or set backup.objectStorage.path." -}}
{{- end -}}
{{- if and .Values.backup.existingClaim $store.path -}}
{{- $problems = append $problems "backup.existingClaim and backup.objectStorage.path are both set: keep one." -}}
{{- end -}}
{{- if and $store.path (has $store.configSecret (compact (list .Values.secrets.existingSecret .Values.secrets.migrationSecret))) -}}
{{- $problems = append $problems "backup.objectStorage.configSecret holds the service's own secrets, and a third-party image gets all of it: make a Secret with the remote's variables only." -}}
{{- end -}}
{{- if and $store.path (not $store.configSecret) -}}
{{- $problems = append $problems "backup.objectStorage.configSecret is empty: name the Secret with the RCLONE_CONFIG_… variables of the remote." -}}
{{- end -}}
{{- end -}}
{{- with .Values.database.cloudNativePG -}}
{{- if .enabled -}}
{{- if ne $.Values.database.kind "postgresql" -}}
{{- $problems = append $problems (printf "database.kind=%s: database.cloudNativePG renders PostgreSQL; set one of them." $.Values.database.kind) -}}
{{- end -}}
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
