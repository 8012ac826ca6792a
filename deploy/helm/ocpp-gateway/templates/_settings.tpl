{{/* Settings of our processes as environment variables. */}}

{{/* One value as a process reads it: YAML reads on and off as truth values, and whole numbers as floats. */}}
{{- define "ocpp.settingValue" -}}
{{- if kindIs "bool" . -}}
{{ ternary "on" "off" . }}
{{- else if kindIs "float64" . -}}
{{- if eq . (floor .) }}{{ printf "%d" (int64 .) }}{{ else }}{{ . }}{{ end -}}
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}

{{/* A map of settings as entries of `env`. */}}
{{- define "ocpp.settingsEnvironment" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ include "ocpp.settingValue" $value | quote }}
{{- end }}
{{- end -}}

{{/* Settings of gateways, the nearest map winning; as YAML. */}}
{{- define "ocpp.gatewaySettings" -}}
{{- mergeOverwrite (dict) .Values.settings .Values.gateway.settings | toYaml -}}
{{- end -}}

{{/* dict root, service: settings of one worker service; as YAML. */}}
{{- define "ocpp.workerSettings" -}}
{{- $own := index .root.Values.workers .service -}}
{{- mergeOverwrite (dict) .root.Values.settings .root.Values.workers.settings ($own.settings | default dict) | toYaml -}}
{{- end -}}

{{/* Tracing by OpenTelemetry's own variables; dict root, component. */}}
{{- define "ocpp.tracingEnvironment" -}}
{{- $tracing := .root.Values.tracing -}}
- name: OTEL_TRACES_EXPORTER
  value: {{ $tracing.exporter | quote }}
{{- if ne $tracing.exporter "none" }}
- name: OTEL_SERVICE_NAME
  value: {{ ternary "ocpp-gateway" (printf "ocpp-worker-%s" .component) (eq .component "gateway") }}
{{- $attributes := merge (dict) $tracing.resourceAttributes (dict "service.namespace" .root.Release.Namespace) }}
{{- $pairs := list }}
{{- range $name, $value := $attributes }}{{ $pairs = append $pairs (printf "%s=%s" $name $value) }}{{ end }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ join "," $pairs | quote }}
- name: OTEL_TRACES_SAMPLER
  value: {{ $tracing.sampler | quote }}
{{- if contains "ratio" $tracing.sampler }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ $tracing.samplerArg | toString | quote }}
{{- end }}
{{- end }}
{{- if eq $tracing.exporter "otlp" }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ $tracing.endpoint | quote }}
{{- with $tracing.headersSecret.name }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $tracing.headersSecret.key }}
{{- end }}
{{- end }}
{{- end -}}
