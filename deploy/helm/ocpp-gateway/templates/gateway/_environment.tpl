{{/* Environment, volumes and mounts of a gateway. */}}

{{/* The secrets that hold pairs of certificate and key, by their place among the mounts. */}}
{{- define "ocpp.gatewayTlsSecrets" -}}
{{- $tls := .Values.gateway.tls -}}
{{- $secrets := $tls.existingSecrets -}}
{{- if $tls.certManager.enabled -}}
{{- range $tls.certManager.algorithms -}}
{{- $secrets = append $secrets (printf "%s-tls-%s" (include "ocpp.fullname" $) (lower .)) -}}
{{- end -}}
{{- end -}}
{{ toJson $secrets }}
{{- end -}}

{{/* secret and key of the authorities of charge points; empty: no client certificate is asked for */}}
{{- define "ocpp.clientCa" -}}
{{- $ca := .Values.gateway.clientCa -}}
{{- if $ca.fromAuthority -}}
{{ dict "secret" (include "ocpp.authoritySecret" .) "key" "tls.crt" | toJson }}
{{- else if $ca.existingSecret -}}
{{ dict "secret" $ca.existingSecret "key" $ca.key | toJson }}
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{- define "ocpp.gatewayEnvironment" -}}
{{- $gateway := .Values.gateway -}}
{{- $drain := include "ocpp.drain" . | fromYaml -}}
{{- $pairs := include "ocpp.gatewayTlsSecrets" . | fromJsonArray -}}
{{- include "ocpp.brokerEnvironment" (dict "root" . "user" "gateway") | trim }}
{{- include "ocpp.brokerTlsEnvironment" . }}
- name: OCPP_AMQP_DECLARE
  value: {{ ternary "off" "on" .Values.broker.leastRights.enabled | quote }}
- name: OCPP_MONITOR_PORT
  value: "9311"
- name: OCPP_GATEWAY_LISTEN_PORT
  value: "9310"
- name: OCPP_GATEWAY_PLAIN_LISTEN
  value: {{ ternary "on" "off" $gateway.plain.enabled | quote }}
{{- if $gateway.tls.enabled }}
- name: OCPP_GATEWAY_TLS_LISTEN_PORT
  value: "9443"
{{- $certificates := list }}{{ $keys := list }}
{{- range $place, $_ := $pairs }}
{{- $certificates = append $certificates (printf "/etc/ocpp/tls/%d/tls.crt" $place) }}
{{- $keys = append $keys (printf "/etc/ocpp/tls/%d/tls.key" $place) }}
{{- end }}
- name: OCPP_GATEWAY_TLS_CERT_FILES
  value: {{ join "," $certificates }}
- name: OCPP_GATEWAY_TLS_KEY_FILES
  value: {{ join "," $keys }}
{{- end }}
{{- if (include "ocpp.clientCa" . | fromJson) }}
- name: OCPP_GATEWAY_TLS_CLIENT_CA_FILE
  value: /etc/ocpp/client-ca/ca.crt
{{- if $gateway.clientCa.crlSecret }}
- name: OCPP_GATEWAY_TLS_CRL_FILE
  value: /etc/ocpp/client-crl/crl.pem
{{- end }}
{{- end }}
{{- with $gateway.proxy }}
{{- if .trustedNetworks }}
- name: OCPP_GATEWAY_PROXIES
  value: {{ join "," .trustedNetworks | quote }}
{{- end }}
{{- if eq .protocol "v2" }}
- name: OCPP_GATEWAY_PROXY_PROTOCOL
  value: v2
{{- end }}
{{- with .clientCertificateHeader }}
- name: OCPP_GATEWAY_CLIENT_CERT_HEADER
  value: {{ . | quote }}
{{- end }}
{{- end }}
- name: OCPP_GATEWAY_ENDPOINT_PATH
  value: {{ $gateway.path | quote }}
- name: OCPP_GATEWAY_MAX_CONNECTIONS
  value: {{ int $gateway.maxConnections | quote }}
- name: OCPP_GATEWAY_DRAIN_GRACE_SECONDS
  value: {{ int $drain.graceSeconds | quote }}
- name: OCPP_GATEWAY_DRAIN_CLOSES_PER_SECOND
  value: {{ include "ocpp.settingValue" $gateway.drain.closesPerSecond | quote }}
{{- if $gateway.validationRules }}
- name: OCPP_GATEWAY_VALIDATION_FILE
  value: /etc/ocpp/files/validation.toml
{{- end }}
{{ include "ocpp.tracingEnvironment" (dict "root" . "component" "gateway") }}
{{- include "ocpp.settingsEnvironment" (include "ocpp.gatewaySettings" . | fromYaml) }}
{{- with $gateway.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "ocpp.gatewayVolumes" -}}
{{- $gateway := .Values.gateway -}}
{{- include "ocpp.temporaryVolume" . }}
{{- if $gateway.tls.enabled }}
{{- range $place, $secret := include "ocpp.gatewayTlsSecrets" . | fromJsonArray }}
- name: tls-{{ $place }}
  secret:
    secretName: {{ $secret }}
    defaultMode: 0440
    items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]
{{- end }}
{{- end }}
{{- with include "ocpp.clientCa" . | fromJson }}
- name: client-ca
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items: [{key: {{ .key }}, path: ca.crt}]
{{- end }}
{{- with $gateway.clientCa }}
{{- if .crlSecret }}
- name: client-crl
  secret:
    secretName: {{ .crlSecret }}
    defaultMode: 0440
    items: [{key: {{ .crlKey }}, path: crl.pem}]
{{- end }}
{{- end }}
{{- include "ocpp.brokerVolumes" . }}
{{- if $gateway.validationRules }}
- name: files
  configMap:
    name: {{ include "ocpp.fullname" . }}-gateway
{{- end }}
{{- with $gateway.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "ocpp.gatewayMounts" -}}
{{- $gateway := .Values.gateway -}}
{{- include "ocpp.temporaryMount" . }}
{{- if $gateway.tls.enabled }}
{{- range $place, $_ := include "ocpp.gatewayTlsSecrets" . | fromJsonArray }}
- {name: tls-{{ $place }}, mountPath: /etc/ocpp/tls/{{ $place }}, readOnly: true}
{{- end }}
{{- end }}
{{- if (include "ocpp.clientCa" . | fromJson) }}
- {name: client-ca, mountPath: /etc/ocpp/client-ca, readOnly: true}
{{- end }}
{{- if $gateway.clientCa.crlSecret }}
- {name: client-crl, mountPath: /etc/ocpp/client-crl, readOnly: true}
{{- end }}
{{- include "ocpp.brokerMounts" . }}
{{- if $gateway.validationRules }}
- {name: files, mountPath: /etc/ocpp/files, readOnly: true}
{{- end }}
{{- with $gateway.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}
