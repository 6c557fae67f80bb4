{{- define "hawser.labels" -}}
{{ include "hawser.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* NetworkPolicies of jobs name the operator's pods by app.kubernetes.io/name. */ -}}
{{- define "hawser.selectorLabels" -}}
app.kubernetes.io/name: hawser
app.kubernetes.io/component: operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hawser.serviceAccountName" -}}
{{ .Values.serviceAccount.name }}
{{- end }}

{{- /* Reference of an image: include "hawser.image" (list . .Values.image) */ -}}
{{- define "hawser.image" -}}
{{- $root := index . 0 }}
{{- $image := index . 1 }}
{{- if $image.reference }}
{{- $image.reference }}
{{- else if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository ($image.tag | default $root.Chart.AppVersion) }}
{{- end }}
{{- end }}

{{- define "hawser.evidenceUrl" -}}
{{ .Values.evidence.url | default "file:///var/lib/hawser/evidence" }}
{{- end }}
