{{/* Where the charge point of `helm test` connects: the Service, by TLS where its name is in the certificate. */}}
{{- define "ocpp.testUrl" -}}
{{- $gateway := .Values.gateway -}}
{{- $least := get (include "ocpp.gatewaySettings" . | fromYaml) "OCPP_GATEWAY_MIN_SECURITY_PROFILE" | default 0 | int -}}
{{- $host := printf "%s-gateway.%s.svc" (include "ocpp.fullname" .) .Release.Namespace -}}
{{- if .Values.test.url -}}
{{ .Values.test.url }}
{{- else if and $gateway.tls.enabled $gateway.tls.certManager.enabled $gateway.tls.certManager.serviceNames -}}
wss://{{ $host }}:{{ $gateway.service.tlsPort }}{{ $gateway.path }}
{{- else if and $gateway.plain.enabled (lt $least 2) -}}
ws://{{ $host }}:{{ $gateway.service.port }}{{ $gateway.path }}
{{- end -}}
{{- end -}}
