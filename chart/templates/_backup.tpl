{{- /* What a container runs. Arguments: root, name (of the container). */ -}}
{{- define "lean-payments.dumpScript" -}}
{{- $folder := eq .root.Values.database.kind "mariadb" | ternary "mariadb/" "" -}}
{{- $logsIn := list (printf "%slogin" $folder) (printf "%s%s" $folder .name) -}}
{{- range has .name (list "backup" "restore") | ternary $logsIn (list .name) }}
{{ $.root.Files.Get (printf "files/%s.sh" .) | trim }}
{{- end }}
{{- end -}}

{{- /* Whether a container logs in as the owner, as "true" or empty: who makes tables or dumps them does. The operator locks
       the application's login when it rotates it, and on MariaDB nobody else sees triggers. Arguments: root, name. */ -}}
{{- define "lean-payments.dumpsAsOwner" -}}
{{- if and (has .name (list "backup" "restore")) .root.Values.secrets.migrationSecret -}}true{{- end -}}
{{- end -}}

{{- /* One container of a backup's or a restore's pod. Arguments: root, name, and env (more lines of it). */ -}}
{{- define "lean-payments.dumpContainer" -}}
{{- $backup := .root.Values.backup -}}
{{- $rclone := has .name (list "upload" "download") -}}
{{- $owner := include "lean-payments.dumpsAsOwner" . -}}
name: {{ .name }}
image: {{ include (printf "lean-payments.%sImage" ($rclone | ternary "rclone" "backup")) .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
command: [sh, -c]
args:
  - |
    {{- include "lean-payments.dumpScript" . | trim | nindent 4 }}
env:
  - {name: DUMPS, value: /dumps}
  - {name: RETENTION_DAYS, value: {{ $backup.retentionDays | quote }}}
  {{- if $rclone }}
  - {name: OBJECT_PATH, value: {{ $backup.objectStorage.path | quote }}}
  - {name: HOME, value: /scratch}
  {{- else }}
  {{- with include "lean-payments.databaseAuthority" (dict "root" .root "what" "env") }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  {{- end }}
  {{- if $owner }}
  {{- with include "lean-payments.migration" (dict "root" .root "what" "env") }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  {{- end }}
{{- if $rclone }}
envFrom:
  - secretRef: {name: {{ $backup.objectStorage.configSecret }}}
{{- end }}
resources:
  {{- toYaml $backup.resources | nindent 2 }}
securityContext:
  {{- include "lean-payments.containerSecurity" .root | nindent 2 }}
volumeMounts:
  {{- if not (or $rclone $owner) }}
  - {name: {{ .name }}-secrets, mountPath: /run/secrets/payments, readOnly: true}
  {{- end }}
  - {name: dumps, mountPath: /dumps}
  - {name: scratch, mountPath: /scratch}
  {{- if not $rclone }}
  {{- with include "lean-payments.databaseAuthority" (dict "root" .root "what" "mounts") }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  {{- end }}
  {{- if $owner }}
  {{- with include "lean-payments.migration" (dict "root" .root "what" "mounts") }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  {{- end }}
  {{- with include "lean-payments.podFurther" (dict "root" .root "pods" "backup" "what" "volumeMounts") }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- /* The specification of a backup's or a restore's Job. Arguments: root, names (of the containers, in order). */ -}}
{{- define "lean-payments.dumpJob" -}}
{{- $root := .root -}}
{{- $backup := $root.Values.backup -}}
backoffLimit: 2
activeDeadlineSeconds: {{ $backup.activeDeadlineSeconds }}
template:
  metadata:
    {{- $own := printf "%s\napp.kubernetes.io/component: backup" (include "lean-payments.labels" $root) }}
    {{- include "lean-payments.podMetadata" (dict "root" $root "pods" "backup" "labels" $own) | nindent 4 }}
  spec:
    restartPolicy: Never
    {{- include "lean-payments.podAccount" (dict "root" $root "pods" "backup") | nindent 4 }}
    automountServiceAccountToken: false
    {{- include "lean-payments.podSpec" (dict "root" $root "pods" "backup" "ids" $backup.userId) | nindent 4 }}
    {{- with initial .names }}
    initContainers:
      {{- range . }}
      - {{- include "lean-payments.dumpContainer" (dict "root" $root "name" .) | nindent 8 }}
      {{- end }}
    {{- end }}
    containers:
      - {{- include "lean-payments.dumpContainer" (dict "root" $root "name" (last .names)) | nindent 8 }}
    volumes:
      {{- $reads := has "backup" .names | ternary "backup" "restore" }}
      {{- if include "lean-payments.dumpsAsOwner" (dict "root" $root "name" $reads) }}
      {{- include "lean-payments.migration" (dict "root" $root "what" "volumes") | trim | nindent 6 }}
      {{- else }}
      {{- include "lean-payments.secretVolume" (dict "root" $root "container" $reads) | nindent 6 }}
      {{- end }}
      {{- with include "lean-payments.databaseAuthority" (dict "root" $root "what" "volumes") }}
      {{- . | trim | nindent 6 }}
      {{- end }}
      - name: dumps
        {{- if $backup.objectStorage.path }}
        # on its way to or from the object storage
        emptyDir: {}
        {{- else }}
        persistentVolumeClaim: {claimName: {{ $backup.existingClaim }}}
        {{- end }}
      - name: scratch
        emptyDir: {}
      {{- with include "lean-payments.podFurther" (dict "root" $root "pods" "backup" "what" "volumes") }}
      {{- . | nindent 6 }}
      {{- end }}
{{- end -}}
