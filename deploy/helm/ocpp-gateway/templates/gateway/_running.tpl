{{/* How many gateways the release's Deployment asks for now; 0 before it is installed, and where no cluster is asked. */}}
{{- define "ocpp.runningGateways" -}}
{{- $name := printf "%s-gateway" (include "ocpp.fullname" .) -}}
{{- (lookup "apps/v1" "Deployment" .Release.Namespace $name).spec | default dict | dig "replicas" 0 | int -}}
{{- end -}}

{{/* Whether the release has an autoscaler already. */}}
{{- define "ocpp.gatewaysAreScaled" -}}
{{- $name := printf "%s-gateway" (include "ocpp.fullname" .) -}}
{{- if lookup "autoscaling/v2" "HorizontalPodAutoscaler" .Release.Namespace $name }}true{{ end -}}
{{- end -}}
