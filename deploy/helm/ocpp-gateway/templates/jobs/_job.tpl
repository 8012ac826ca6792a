{{/* dict root, name, spec (YAML of a pod's containers and volumes): a job of its own for each thing that it would do. */}}
{{/* A job cannot be changed, so its name says what is in it: an upgrade that changes nothing starts nothing. */}}
{{- define "ocpp.job" -}}
{{- $jobs := .root.Values.jobs -}}
{{- $pod := include "ocpp.jobPod" . -}}
{{- $digest := printf "%s %s" $pod (toJson $jobs) | sha256sum | trunc 8 -}}
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "ocpp.metadata" (dict "root" .root "component" .name "suffix" (printf "%s-%s" .name $digest)) | nindent 2 }}
spec:
  # Broker and database may be made by the same release: what fails now is tried again, at last every six minutes.
  backoffLimit: {{ $jobs.backoffLimit }}
  podFailurePolicy:
    rules:
      # bad settings, which no waiting makes good
      - action: FailJob
        onExitCodes: {operator: In, values: [2]}
  {{- with $jobs.ttlSecondsAfterFinished }}
  ttlSecondsAfterFinished: {{ . }}
  {{- end }}
  template:
    {{- $pod | nindent 4 }}
{{- end -}}

{{/* the same: the template of its pods */}}
{{- define "ocpp.jobPod" -}}
{{- $jobs := .root.Values.jobs -}}
metadata:
  labels:
    {{- include "ocpp.podLabels" (dict "root" .root "component" .name) | nindent 4 }}
    {{- with $jobs.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $jobs.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  restartPolicy: Never
  {{- include "ocpp.podIdentity" .root | nindent 2 }}
  {{- with include "ocpp.placement" $jobs | trim }}{{ . | nindent 2 }}{{ end }}
  securityContext:
    {{- include "ocpp.podSecurity" .root | nindent 4 }}
  {{- .spec | nindent 2 }}
{{- end -}}

{{/* dict root, name, command, environment, mounts (optional): a step of a job */}}
{{- define "ocpp.step" -}}
- name: {{ .name }}
  {{- include "ocpp.container" .root | nindent 2 }}
  command: {{ toJson .command }}
  env:
    {{- .environment | trim | nindent 4 }}
  resources:
    {{- toYaml .root.Values.jobs.resources | nindent 4 }}
  volumeMounts:
    {{- include "ocpp.temporaryMount" .root | nindent 4 }}
    {{- with include "ocpp.brokerMounts" .root | trim }}{{ . | nindent 4 }}{{ end }}
    {{- with .mounts }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* dict root, steps (rendered, in turn), volumes (optional): all but the last are init containers */}}
{{- define "ocpp.steps" -}}
{{- with initial .steps }}
initContainers:
  {{- range . }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end }}
containers:
  {{- last .steps | nindent 2 }}
volumes:
  {{- include "ocpp.temporaryVolume" .root | nindent 2 }}
  {{- with include "ocpp.brokerVolumes" .root | trim }}{{ . | nindent 2 }}{{ end }}
  {{- with .volumes }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}
