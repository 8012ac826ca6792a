{{/*
Everything that times the replacement of a gateway, from the same values (gateway/drain.py does the draining):

  preStopSeconds          the pod still takes sockets while load balancers learn that it leaves
  closingSeconds          maxConnections at closesPerSecond
  graceSeconds            OCPP_GATEWAY_DRAIN_GRACE_SECONDS; Calls may finish in the first 85 % of it
  terminationSeconds      terminationGracePeriodSeconds: all of that and what the process needs to end
  cycleSeconds            minReadySeconds: one gateway is emptied, and its charge points are back, before the next
*/}}
{{- define "ocpp.drain" -}}
{{- $drain := .Values.gateway.drain -}}
{{- $settings := include "ocpp.gatewaySettings" . | fromYaml -}}
{{- $closing := ceil (divf .Values.gateway.maxConnections $drain.closesPerSecond) -}}
{{- $call := get $settings "OCPP_GATEWAY_CALL_TIMEOUT_SECONDS" | default 30 -}}
{{- $command := get $settings "OCPP_GATEWAY_COMMAND_TIMEOUT_SECONDS" | default 30 -}}
{{- $answer := ceil (maxf $call $command) -}}
{{- $share := 0.85 -}}
{{- $needed := ceil (divf (maxf $closing $answer) $share) -}}
{{- $grace := $drain.graceSeconds | default $needed -}}
closingSeconds: {{ int $closing }}
answerSeconds: {{ int $answer }}
neededSeconds: {{ int $needed }}
graceSeconds: {{ int $grace }}
finishSeconds: {{ int (floor (mulf $grace $share)) }}
terminationSeconds: {{ add (int $drain.preStopSeconds) (int $grace) 15 }}
cycleSeconds: {{ add (int $drain.preStopSeconds) (int $closing) (int $drain.settleSeconds) }}
{{- end -}}
