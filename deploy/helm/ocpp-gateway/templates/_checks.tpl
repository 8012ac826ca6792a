{{/* What no schema can say: values that contradict each other. All of them are told at once. */}}

{{- define "ocpp.checks" -}}
{{- $problems := concat
  (include "ocpp.checks.drain" . | fromJsonArray)
  (include "ocpp.checks.sockets" . | fromJsonArray)
  (include "ocpp.checks.stores" . | fromJsonArray)
  (include "ocpp.checks.rest" . | fromJsonArray) -}}
{{- if $problems -}}
{{- fail (printf "\n  - %s" (join "\n  - " $problems)) -}}
{{- end -}}
{{- end -}}

{{- define "ocpp.checks.drain" -}}
{{- $gateway := .Values.gateway -}}
{{- $drain := include "ocpp.drain" . | fromYaml -}}
{{- $problems := list -}}
{{- if lt (int $drain.finishSeconds) (int $drain.closingSeconds) -}}
{{- $problems = append $problems (printf "gateway.drain.graceSeconds: %d sockets (gateway.maxConnections) at %v per second take %d s to close, and of %d s of grace 85 %% are for that, %d s; needed are %d, or 0 to have it computed" (int $gateway.maxConnections) $gateway.drain.closesPerSecond (int $drain.closingSeconds) (int $drain.graceSeconds) (int $drain.finishSeconds) (int $drain.neededSeconds)) -}}
{{- end -}}
{{- if lt (int $drain.finishSeconds) (int $drain.answerSeconds) -}}
{{- $problems = append $problems (printf "gateway.drain.graceSeconds: a Call or command may take %d s (OCPP_GATEWAY_CALL_TIMEOUT_SECONDS, OCPP_GATEWAY_COMMAND_TIMEOUT_SECONDS), but only %d s of the grace time are for what is in flight; needed are %d" (int $drain.answerSeconds) (int $drain.finishSeconds) (int $drain.neededSeconds)) -}}
{{- end -}}
{{- $settings := include "ocpp.gatewaySettings" . | fromYaml -}}
{{- $handshakes := 500.0 -}}
{{- if hasKey $settings "OCPP_GATEWAY_HANDSHAKES_PER_SECOND" -}}
{{- $handshakes = get $settings "OCPP_GATEWAY_HANDSHAKES_PER_SECOND" | float64 -}}
{{- end -}}
{{- if and (gt $handshakes 0.0) (gt (float64 $gateway.drain.closesPerSecond) $handshakes) -}}
{{- $problems = append $problems (printf "gateway.drain.closesPerSecond: %v sockets would be closed in a second, and another gateway lets %v in (OCPP_GATEWAY_HANDSHAKES_PER_SECOND): the others would be refused" $gateway.drain.closesPerSecond $handshakes) -}}
{{- end -}}
{{- if and $gateway.autoscaling.enabled (gt (int $drain.cycleSeconds) 1800) -}}
{{- $problems = append $problems (printf "gateway.autoscaling: a gateway takes %d s to leave (drain.preStopSeconds, maxConnections / drain.closesPerSecond, drain.settleSeconds), and an autoscaler counts 1800 s at most: it would take away the next one meanwhile" (int $drain.cycleSeconds)) -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{- define "ocpp.checks.sockets" -}}
{{- $gateway := .Values.gateway -}}
{{- $tls := $gateway.tls -}}
{{- $problems := list -}}
{{- if not (or $gateway.plain.enabled $tls.enabled) -}}
{{- $problems = append $problems "gateway.plain.enabled and gateway.tls.enabled are both false: nobody could connect" -}}
{{- end -}}
{{- if and $tls.enabled (not $tls.existingSecrets) (not $tls.certManager.enabled) -}}
{{- $problems = append $problems "gateway.tls.enabled needs a certificate: gateway.tls.existingSecrets or gateway.tls.certManager" -}}
{{- end -}}
{{- if and $tls.enabled $tls.certManager.enabled -}}
{{- if not $tls.certManager.issuerRef.name -}}
{{- $problems = append $problems "gateway.tls.certManager needs issuerRef.name" -}}
{{- end -}}
{{- if not (or $tls.certManager.dnsNames $tls.certManager.serviceNames) -}}
{{- $problems = append $problems "gateway.tls.certManager needs dnsNames: the names by which charge points connect" -}}
{{- end -}}
{{- end -}}
{{- if gt (len (include "ocpp.gatewayTlsSecrets" . | fromJsonArray)) 2 -}}
{{- $problems = append $problems "gateway.tls: a gateway holds one RSA and one ECDSA certificate, two at most" -}}
{{- end -}}
{{- $ca := include "ocpp.clientCa" . | fromJson -}}
{{- if and $gateway.clientCa.fromAuthority (not (include "ocpp.authoritySecret" .)) -}}
{{- $problems = append $problems "gateway.clientCa.fromAuthority needs an authority: authority.existingSecret or authority.certManager" -}}
{{- end -}}
{{- if and $gateway.clientCa.crlSecret (not $ca) -}}
{{- $problems = append $problems "gateway.clientCa.crlSecret needs gateway.clientCa.existingSecret or fromAuthority" -}}
{{- end -}}
{{- if and $ca (not (or $tls.enabled $gateway.proxy.clientCertificateHeader)) -}}
{{- $problems = append $problems "gateway.clientCa needs gateway.tls.enabled, or gateway.proxy.clientCertificateHeader: who would show a certificate?" -}}
{{- end -}}
{{- with $gateway.proxy -}}
{{- if and (eq .protocol "v2") (not .trustedNetworks) -}}
{{- $problems = append $problems "gateway.proxy.protocol v2 needs gateway.proxy.trustedNetworks: from anybody else the header is not believed" -}}
{{- end -}}
{{- if .clientCertificateHeader -}}
{{- if not .trustedNetworks -}}
{{- $problems = append $problems "gateway.proxy.clientCertificateHeader needs gateway.proxy.trustedNetworks" -}}
{{- end -}}
{{- if eq .protocol "v2" -}}
{{- $problems = append $problems "gateway.proxy.clientCertificateHeader and protocol v2 exclude each other: such a proxy passes HTTP headers on as the client sends them" -}}
{{- end -}}
{{- if not $ca -}}
{{- $problems = append $problems "gateway.proxy.clientCertificateHeader needs gateway.clientCa: the certificate is verified here too" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (or .Values.ingress.enabled .Values.httpRoute.enabled) (not $gateway.plain.enabled) -}}
{{- $problems = append $problems "ingress and httpRoute end TLS before the pod and need gateway.plain.enabled" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- $problems = append $problems "ingress.enabled needs ingress.hosts" -}}
{{- end -}}
{{- range $route := list "httpRoute" "tlsRoute" -}}
{{- $values := index $.Values $route -}}
{{- if and $values.enabled (not $values.parentRefs) -}}
{{- $problems = append $problems (printf "%s.enabled needs %s.parentRefs" $route $route) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.tlsRoute.enabled (not $tls.enabled) -}}
{{- $problems = append $problems "tlsRoute passes TLS through to the pod and needs gateway.tls.enabled" -}}
{{- end -}}
{{- if and .Values.test.enabled (not (include "ocpp.testUrl" .)) -}}
{{- $problems = append $problems "test.url is needed: without gateway.plain.enabled (or with an OCPP_GATEWAY_MIN_SECURITY_PROFILE above 1), and with a certificate that does not name the Service (gateway.tls.certManager.serviceNames), `helm test` has to know a name that is in the certificate; or test.enabled=false" -}}
{{- end -}}
{{- if and .Values.test.enabled (not .Values.test.url) (eq $gateway.proxy.protocol "v2") -}}
{{- $problems = append $problems "test.url is needed: with gateway.proxy.protocol v2 the charge point of `helm test` has to come through the proxy, as a pod sends no PROXY header; or test.enabled=false" -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{- define "ocpp.checks.stores" -}}
{{- $problems := list -}}
{{- $broker := .Values.broker -}}
{{- $database := .Values.database -}}
{{- if eq $broker.mode "external" -}}
{{- if not $broker.external.existingSecret -}}
{{- $problems = append $problems "broker.mode external needs broker.external.existingSecret, a secret with the broker's URL" -}}
{{- end -}}
{{- if and $broker.leastRights.enabled (not (and $broker.external.host $broker.external.managementUrlKey)) -}}
{{- $problems = append $problems "broker.leastRights with an external broker needs broker.external.host and broker.external.managementUrlKey" -}}
{{- end -}}
{{- if and (eq .Values.workers.autoscaling.mode "keda") (not $broker.external.managementUrlKey) -}}
{{- $problems = append $problems "workers.autoscaling.mode keda with an external broker needs broker.external.managementUrlKey: queues are asked for there" -}}
{{- end -}}
{{- end -}}
{{- if and $broker.leastRights.enabled (not $broker.leastRights.existingSecret) -}}
{{- $problems = append $problems "broker.leastRights needs broker.leastRights.existingSecret, a secret with the password of each user" -}}
{{- end -}}
{{- if and $broker.tls.enabled (eq $broker.mode "operator") (not $broker.operator.tlsSecret) -}}
{{- $problems = append $problems "broker.tls.enabled needs broker.operator.tlsSecret, the broker's own certificate" -}}
{{- end -}}
{{- if eq $database.mode "external" -}}
{{- if not $database.external.existingSecret -}}
{{- $problems = append $problems "database.mode external needs database.external.existingSecret, a secret with the database's URL" -}}
{{- end -}}
{{- if and $database.leastRights.enabled (not $database.external.host) -}}
{{- $problems = append $problems "database.leastRights with an external database needs database.external.host" -}}
{{- end -}}
{{- else -}}
{{- $most := get $database.operator.parameters "max_connections" | default 100 | int -}}
{{- $wanted := include "ocpp.databaseConnections" . | int -}}
{{- if gt $wanted $most -}}
{{- $problems = append $problems (printf "database.operator.parameters.max_connections: %d, and workers may open %d (replicas, OCPP_WORKER_DATABASE_CONNECTIONS, one surplus process of each service during an upgrade)" $most $wanted) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{- define "ocpp.checks.rest" -}}
{{- $problems := list -}}
{{- $monitoring := .Values.monitoring -}}
{{- if and $monitoring.serviceMonitor.enabled $monitoring.podMonitor.enabled -}}
{{- $problems = append $problems "monitoring.serviceMonitor and monitoring.podMonitor would count everything twice: enable one" -}}
{{- end -}}
{{- if and .Values.gateway.autoscaling.enabled (lt (int .Values.gateway.autoscaling.maxReplicas) (int .Values.gateway.replicas)) -}}
{{- $problems = append $problems "gateway.autoscaling.maxReplicas is less than gateway.replicas, the least" -}}
{{- end -}}
{{- $scaling := .Values.gateway.autoscaling -}}
{{- if and $scaling.enabled (not $scaling.keepReplicas) (gt (include "ocpp.runningGateways" . | int) 1) (not (include "ocpp.gatewaysAreScaled" .)) -}}
{{- $problems = append $problems (printf "gateway.autoscaling.enabled: %s gateways run without an autoscaler, and Helm would leave one of them, as it takes `replicas` away; switch it on with gateway.autoscaling.keepReplicas=true, and leave that on" (include "ocpp.runningGateways" .)) -}}
{{- end -}}
{{- if ne .Values.workers.autoscaling.mode "none" -}}
{{- range $service := splitList " " (include "ocpp.services" . | replace " commands" "") -}}
{{- $own := index $.Values.workers $service -}}
{{- if lt (int $own.autoscaling.maxReplicas) (int $own.replicas) -}}
{{- $problems = append $problems (printf "workers.%s.autoscaling.maxReplicas is less than workers.%s.replicas, the least" $service $service) -}}
{{- end -}}
{{- if lt (int $own.replicas) 2 -}}
{{- $problems = append $problems (printf "workers.%s.replicas: with an autoscaler at least 2, or one that dies takes the service with it" $service) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.tracing.exporter "otlp") (not .Values.tracing.endpoint) -}}
{{- $problems = append $problems "tracing.exporter otlp needs tracing.endpoint, such as http://collector.observability:4318" -}}
{{- end -}}
{{- if and .Values.authority.certManager.enabled (not .Values.authority.certManager.issuerRef.name) -}}
{{- $problems = append $problems "authority.certManager needs issuerRef.name" -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}
