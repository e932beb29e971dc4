{{/* What everything is called: the release, with the chart's name in it once. */}}
{{- define "waybill.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select; they never change from version to version. */}}
{{- define "waybill.selector" -}}
app.kubernetes.io/name: waybill
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "waybill.labels" -}}
{{ include "waybill.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "waybill.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion }}
{{- printf "%s%s%s" .Values.image.repository (hasPrefix "sha256:" $tag | ternary "@" ":") $tag }}
{{- end -}}

{{- define "waybill.catalog" -}}
{{- if .Values.catalog.text -}}
{{ include "waybill.fullname" . }}-catalog
{{- else -}}
{{ required "catalog.configMap: name the config map that has waybill.toml, or give catalog.text" .Values.catalog.configMap }}
{{- end -}}
{{- end -}}

{{/* What the template of each long-running process begins with. */}}
{{- define "waybill.podMetadata" -}}
labels:
  {{- include "waybill.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
annotations:
  prometheus.io/scrape: "true"
  prometheus.io/port: {{ .root.Values.metrics.port | quote }}
  {{- if .root.Values.catalog.text }}
  checksum/catalog: {{ .root.Values.catalog.text | sha256sum }}
  {{- end }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Nobody, and no token of the cluster's. */}}
{{- define "waybill.podSecurity" -}}
automountServiceAccountToken: false
{{- with .Values.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "waybill.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "waybill.envFrom" -}}
envFrom:
  - secretRef: {name: {{ .Values.secretName }}}
  {{- with .Values.envFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "waybill.env" -}}
env:
  - {name: WAYBILL_CATALOG, value: /etc/waybill/waybill.toml}
  - {name: WAYBILL_METRICS_HOST, value: 0.0.0.0}
  {{- with .Values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "waybill.volumeMounts" -}}
volumeMounts:
  - {name: catalog, mountPath: /etc/waybill, readOnly: true}
  - {name: tmp, mountPath: /tmp}
  {{- with .Values.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "waybill.volumes" -}}
volumes:
  - name: catalog
    configMap: {name: {{ include "waybill.catalog" . }}}
  - name: tmp
    emptyDir: {medium: Memory, sizeLimit: 64Mi}
  {{- with .Values.volumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Worker and scheduler answer nobody but Prometheus: alive is who listens there. */}}
{{- define "waybill.listens" -}}
livenessProbe:
  tcpSocket: {port: metrics}
  periodSeconds: 20
  failureThreshold: 6
{{- end -}}
