{{/* What every pod of ours has. */}}

{{/* The restricted pod security standard; the image's user. */}}
{{- define "ocpp.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "ocpp.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* root: fields of a pod that are alike everywhere */}}
{{- define "ocpp.podIdentity" -}}
serviceAccountName: {{ include "ocpp.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* A part of values with nodeSelector, tolerations, affinity, priorityClassName: where its pods go. */}}
{{- define "ocpp.placement" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* dict root, component, spread (zone, host): over zones and hosts, each revision by itself. */}}
{{- define "ocpp.topologySpread" -}}
{{- $keys := dict "topology.kubernetes.io/zone" .spread.zone "kubernetes.io/hostname" .spread.host -}}
{{- $wanted := dict -}}
{{- range $key, $policy := $keys }}{{ if ne $policy "none" }}{{ $_ := set $wanted $key $policy }}{{ end }}{{ end -}}
{{- if $wanted }}
topologySpreadConstraints:
  {{- range $key, $policy := $wanted }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $policy }}
    labelSelector:
      matchLabels:
        {{- include "ocpp.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end -}}

{{/* Alive is no question of broker or database: a restart of a gateway costs its sockets. */}}
{{- define "ocpp.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: monitor}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: monitor}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: monitor}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}

{{/* root: image, pull policy and security of a container */}}
{{- define "ocpp.container" -}}
image: {{ include "ocpp.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "ocpp.containerSecurity" . | nindent 2 }}
{{- end -}}

{{- define "ocpp.temporaryVolume" -}}
- name: tmp
  emptyDir: {medium: Memory, sizeLimit: 16Mi}
{{- end -}}

{{- define "ocpp.temporaryMount" -}}
- {name: tmp, mountPath: /tmp}
{{- end -}}
