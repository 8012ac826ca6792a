{{/* What things are called. Names leave room for the longest suffix: a StatefulSet, which the broker's operator calls
     <name>-rabbitmq-server, makes no pods when its name is longer than 52. */}}

{{- define "ocpp.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "ocpp.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 36 | trimSuffix "-" -}}
{{- end -}}

{{/* The worker services, in the order of contracts.actions.Service. */}}
{{- define "ocpp.services" -}}
authorization metering firmware diagnostics commands
{{- end -}}

{{- define "ocpp.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "ocpp.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "ocpp.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{/* dict root, component: what selects the pods of a component; never changes. */}}
{{- define "ocpp.selector" -}}
app.kubernetes.io/name: {{ include "ocpp.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* dict root, component */}}
{{- define "ocpp.labels" -}}
{{ include "ocpp.selector" . }}
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/part-of: ocpp-gateway
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* dict root, component: labels of pods; nothing that changes with the chart alone, or every upgrade would replace them. */}}
{{- define "ocpp.podLabels" -}}
{{ include "ocpp.selector" . }}
app.kubernetes.io/part-of: ocpp-gateway
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* dict root, component; suffix, labels, annotations (optional): metadata of one object of ours. */}}
{{- define "ocpp.metadata" -}}
name: {{ include "ocpp.fullname" .root }}{{ with .suffix }}-{{ . }}{{ end }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "ocpp.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $annotations := merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
