{{/* Rules of network policies. */}}

{{- define "ocpp.egressDns" -}}
- ports:
    {{- range .Values.networkPolicy.dnsPorts }}
    - {port: {{ . }}, protocol: UDP}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- with .Values.networkPolicy.dnsTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* dict root, ports */}}
{{- define "ocpp.egressBroker" -}}
- ports:
    {{- range .ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- if eq .root.Values.broker.mode "operator" }}
  to:
    - podSelector: {matchLabels: {app.kubernetes.io/name: {{ include "ocpp.brokerName" .root }}}}
  {{- else }}
  {{- with .root.Values.networkPolicy.brokerTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end -}}

{{- define "ocpp.egressDatabase" -}}
- ports: [{port: {{ ternary 5432 (int .Values.database.external.port) (eq .Values.database.mode "operator") }}, protocol: TCP}]
  {{- if eq .Values.database.mode "operator" }}
  to:
    - podSelector: {matchLabels: {cnpg.io/cluster: {{ include "ocpp.databaseName" . }}}}
  {{- else }}
  {{- with .Values.networkPolicy.databaseTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end -}}

{{- define "ocpp.egressTracing" -}}
{{- if eq .Values.tracing.exporter "otlp" }}
{{- $url := urlParse .Values.tracing.endpoint }}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (ternary "443" "80" (eq $url.scheme "https")) }}
- ports: [{port: {{ $port }}, protocol: TCP}]
  {{- with .Values.networkPolicy.tracingTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "ocpp.ingressMonitor" -}}
- ports: [{port: monitor, protocol: TCP}]
  from:
    {{- toYaml .Values.networkPolicy.monitoringFrom | nindent 4 }}
{{- end -}}
