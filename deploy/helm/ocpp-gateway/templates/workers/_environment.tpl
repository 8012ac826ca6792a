{{/* Environment, volumes and mounts of one worker service: dict root, service. */}}

{{- define "ocpp.authoritySecret" -}}
{{- if .Values.authority.certManager.enabled -}}
{{ include "ocpp.fullname" . }}-authority
{{- else -}}
{{ .Values.authority.existingSecret }}
{{- end -}}
{{- end -}}

{{/* What one service needs besides its settings; the key of the authority is for authorization alone. */}}
{{- define "ocpp.workerEnvironment" -}}
{{- $own := index .root.Values.workers .service -}}
{{- include "ocpp.workerStores" . }}
- name: OCPP_WORKER_GRACE_SECONDS
  value: {{ include "ocpp.settingValue" .root.Values.workers.graceSeconds | quote }}
{{- if and (eq .service "authorization") (include "ocpp.authoritySecret" .root) }}
- name: OCPP_WORKER_CA_CERTIFICATE_FILE
  value: /etc/ocpp/authority/tls.crt
- name: OCPP_WORKER_CA_KEY_FILE
  value: /etc/ocpp/authority/tls.key
{{- end }}
{{ include "ocpp.tracingEnvironment" (dict "root" .root "component" .service) }}
{{- include "ocpp.settingsEnvironment" (include "ocpp.workerSettings" . | fromYaml) }}
{{- with .root.Values.workers.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* broker, database and monitor */}}
{{- define "ocpp.workerStores" -}}
{{- include "ocpp.brokerEnvironment" (dict "root" .root "user" .service) | trim }}
{{- include "ocpp.brokerTlsEnvironment" .root }}
{{ include "ocpp.databaseEnvironment" . | trim }}
- name: OCPP_AMQP_DECLARE
  value: {{ ternary "off" "on" .root.Values.broker.leastRights.enabled | quote }}
- name: OCPP_MONITOR_PORT
  value: "9311"
{{- end -}}

{{- define "ocpp.workerVolumes" -}}
{{- include "ocpp.temporaryVolume" . }}
{{- include "ocpp.brokerVolumes" .root }}
{{- if and (eq .service "authorization") (include "ocpp.authoritySecret" .root) }}
- name: authority
  secret:
    secretName: {{ include "ocpp.authoritySecret" .root }}
    defaultMode: 0440
    items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]
{{- end }}
{{- with .root.Values.workers.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "ocpp.workerMounts" -}}
{{- include "ocpp.temporaryMount" . }}
{{- include "ocpp.brokerMounts" .root }}
{{- if and (eq .service "authorization") (include "ocpp.authoritySecret" .root) }}
- {name: authority, mountPath: /etc/ocpp/authority, readOnly: true}
{{- end }}
{{- with .root.Values.workers.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}
