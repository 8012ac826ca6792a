{{/* How workers reach PostgreSQL. */}}

{{- define "ocpp.databaseName" -}}
{{ include "ocpp.fullname" . }}-postgres
{{- end -}}

{{- define "ocpp.databaseAddress" -}}
{{- if eq .Values.database.mode "operator" -}}
{{ include "ocpp.databaseName" . }}-rw.{{ .Release.Namespace }}.svc:5432/ocpp
{{- else -}}
{{ .Values.database.external.host }}:{{ int .Values.database.external.port }}/{{ .Values.database.external.name }}
{{- end -}}
{{- end -}}

{{/* root: DATABASE_URL of the role that owns the tables */}}
{{- define "ocpp.databaseOwnerEnvironment" -}}
{{- if eq .Values.database.mode "operator" -}}
{{- include "ocpp.databaseRoleEnvironment" (dict "root" . "secret" (printf "%s-app" (include "ocpp.databaseName" .))) }}
{{- else }}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.database.external.existingSecret }}
      key: {{ .Values.database.external.urlKey }}
{{- end }}
{{- end -}}

{{/* dict root, secret (username, password): DATABASE_URL put together from it */}}
{{- define "ocpp.databaseRoleEnvironment" -}}
{{- range $variable, $key := dict "DATABASE_USER" "username" "DATABASE_PASSWORD" "password" }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ $.secret }}
      key: {{ $key }}
{{- end }}
- name: DATABASE_URL
  value: postgresql+asyncpg://$(DATABASE_USER):$(DATABASE_PASSWORD)@{{ include "ocpp.databaseAddress" .root }}
{{- end -}}

{{/* dict root, service: with least rights each service has a role of its own */}}
{{- define "ocpp.databaseEnvironment" -}}
{{- $rights := .root.Values.database.leastRights -}}
{{- if $rights.enabled -}}
{{- include "ocpp.databaseRoleEnvironment" (dict "root" .root "secret" (printf "%s%s" $rights.secretPrefix .service)) }}
{{- else -}}
{{- include "ocpp.databaseOwnerEnvironment" .root }}
{{- end -}}
{{- end -}}

{{/* The most connections that workers open, with one surplus process of each service during an upgrade. */}}
{{- define "ocpp.databaseConnections" -}}
{{- $sum := 10 -}}
{{- range $service := splitList " " (include "ocpp.services" .) -}}
{{- $own := index $.Values.workers $service -}}
{{- $scaled := and (ne $service "commands") (ne $.Values.workers.autoscaling.mode "none") -}}
{{- $replicas := $scaled | ternary (dig "autoscaling" "maxReplicas" 0 $own) $own.replicas -}}
{{- $settings := include "ocpp.workerSettings" (dict "root" $ "service" $service) | fromYaml -}}
{{- $each := get $settings "OCPP_WORKER_DATABASE_CONNECTIONS" | default 6 -}}
{{- $sum = add $sum (mul (add1 (int $replicas)) (int $each)) -}}
{{- end -}}
{{ $sum }}
{{- end -}}
