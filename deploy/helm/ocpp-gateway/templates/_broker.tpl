{{/* How processes reach RabbitMQ. Passwords come from secrets only and are put into URLs by the kubelet: $(NAME). */}}

{{- define "ocpp.brokerName" -}}
{{ include "ocpp.fullname" . }}-rabbitmq
{{- end -}}

{{- define "ocpp.brokerHost" -}}
{{- if eq .Values.broker.mode "operator" -}}
{{ include "ocpp.brokerName" . }}.{{ .Release.Namespace }}.svc
{{- else -}}
{{ .Values.broker.external.host }}
{{- end -}}
{{- end -}}

{{- define "ocpp.brokerPort" -}}
{{- if eq .Values.broker.mode "operator" -}}
{{ ternary 5671 5672 .Values.broker.tls.enabled }}
{{- else -}}
{{ int .Values.broker.external.port }}
{{- end -}}
{{- end -}}

{{- define "ocpp.brokerManagementPort" -}}
{{- if eq .Values.broker.mode "operator" -}}15672{{- else -}}{{ int .Values.broker.external.managementPort }}{{- end -}}
{{- end -}}

{{- define "ocpp.brokerManagementScheme" -}}
{{ ternary "http" .Values.broker.external.managementScheme (eq .Values.broker.mode "operator") }}
{{- end -}}

{{/* host:port/vhost; the vhost "/" is written as nothing */}}
{{- define "ocpp.brokerAddress" -}}
{{- $vhost := ternary "/" .Values.broker.external.vhost (eq .Values.broker.mode "operator") -}}
{{ include "ocpp.brokerHost" . }}:{{ include "ocpp.brokerPort" . }}/{{ if ne $vhost "/" }}{{ $vhost | urlquery }}{{ end }}
{{- end -}}

{{- define "ocpp.brokerScheme" -}}
{{ ternary "amqps" "amqp" .Values.broker.tls.enabled }}
{{- end -}}

{{/* root: the whole of AMQP_URL for whoever owns the broker (and its management API, where that is known). */}}
{{- define "ocpp.brokerOwnerEnvironment" -}}
{{- if eq .Values.broker.mode "operator" -}}
{{- range $variable, $key := dict "BROKER_USER" "username" "BROKER_PASSWORD" "password" }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ include "ocpp.brokerName" $ }}-default-user
      key: {{ $key }}
{{- end }}
- name: AMQP_URL
  value: {{ include "ocpp.brokerScheme" . }}://$(BROKER_USER):$(BROKER_PASSWORD)@{{ include "ocpp.brokerAddress" . }}
{{- else }}
- name: AMQP_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.broker.external.existingSecret }}
      key: {{ .Values.broker.external.urlKey }}
{{- end }}
{{- end -}}

{{/* root, after ocpp.brokerOwnerEnvironment */}}
{{- define "ocpp.brokerOwnerManagementEnvironment" -}}
{{- if eq .Values.broker.mode "operator" }}
- name: AMQP_MANAGEMENT_URL
  value: http://$(BROKER_USER):$(BROKER_PASSWORD)@{{ include "ocpp.brokerHost" . }}:{{ include "ocpp.brokerManagementPort" . }}
{{- else if .Values.broker.external.managementUrlKey }}
- name: AMQP_MANAGEMENT_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.broker.external.existingSecret }}
      key: {{ .Values.broker.external.managementUrlKey }}
{{- end }}
{{- end -}}

{{/* dict root, user: AMQP_URL for one kind of process; with least rights it is a user of its own. */}}
{{- define "ocpp.brokerEnvironment" -}}
{{- $rights := .root.Values.broker.leastRights -}}
{{- if $rights.enabled }}
- name: BROKER_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $rights.existingSecret }}
      key: {{ .user }}
- name: AMQP_URL
  value: {{ include "ocpp.brokerScheme" .root }}://{{ $rights.userPrefix }}{{ .user }}:$(BROKER_PASSWORD)@{{ include "ocpp.brokerAddress" .root }}
{{- else }}
{{- include "ocpp.brokerOwnerEnvironment" .root }}
{{- end }}
{{- end -}}

{{- define "ocpp.brokerTlsEnvironment" -}}
{{- if .Values.broker.tls.enabled }}
{{- if .Values.broker.tls.caSecret }}
- name: OCPP_AMQP_CA_FILE
  value: /etc/ocpp/broker-ca/ca.crt
{{- end }}
{{- if .Values.broker.tls.clientSecret }}
- name: OCPP_AMQP_CERT_FILE
  value: /etc/ocpp/broker-client/tls.crt
- name: OCPP_AMQP_KEY_FILE
  value: /etc/ocpp/broker-client/tls.key
{{- end }}
{{- end }}
{{- end -}}

{{- define "ocpp.brokerVolumes" -}}
{{- with .Values.broker.tls }}
{{- if and .enabled .caSecret }}
- name: broker-ca
  secret:
    secretName: {{ .caSecret }}
    defaultMode: 0440
    items: [{key: {{ .caKey }}, path: ca.crt}]
{{- end }}
{{- if and .enabled .clientSecret }}
- name: broker-client
  secret:
    secretName: {{ .clientSecret }}
    defaultMode: 0440
    items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]
{{- end }}
{{- end }}
{{- end -}}

{{- define "ocpp.brokerMounts" -}}
{{- with .Values.broker.tls }}
{{- if and .enabled .caSecret }}
- {name: broker-ca, mountPath: /etc/ocpp/broker-ca, readOnly: true}
{{- end }}
{{- if and .enabled .clientSecret }}
- {name: broker-client, mountPath: /etc/ocpp/broker-client, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}
