{{- define "hawser.labels" -}}
{{ include "hawser.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
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

{{- /* Reference of an image: include "hawser.image" (list . "image" .Values.image) */ -}}
{{- define "hawser.image" -}}
{{- $root := index . 0 }}
{{- $name := index . 1 }}
{{- $image := index . 2 }}
{{- if $image.reference }}
{{- $image.reference }}
{{- else }}
{{- $missing := printf "set %[1]s.reference, or %[1]s.repository: no image is published for you; `cargo xtask images --registry HOST[:PORT]/PATH` builds and pushes them and prints the values" $name }}
{{- $repository := required $missing $image.repository }}
{{- if $image.digest }}
{{- printf "%s@%s" $repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $repository ($image.tag | default $root.Chart.AppVersion) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "hawser.evidenceUrl" -}}
{{ .Values.evidence.url | default "file:///var/lib/hawser/evidence" }}
{{- end }}

{{- /* Evidence in a directory: the container's root can't be written, so a volume has to be there. */ -}}
{{- define "hawser.checkEvidence" -}}
{{- if hasPrefix "file://" .Values.evidence.url }}
{{- $path := trimSuffix "/" (trimPrefix "file://" .Values.evidence.url) }}
{{- $found := false }}
{{- range .Values.extraVolumeMounts }}
{{- if hasPrefix (printf "%s/" (trimSuffix "/" .mountPath)) (printf "%s/" $path) }}
{{- $found = true }}
{{- end }}
{{- end }}
{{- if not $found }}
{{- fail (printf "evidence.url is %s, but the operator's own file system can't be written and no extraVolumeMounts[].mountPath is %s or above it: mount a volume there with extraVolumes and extraVolumeMounts, or set s3://bucket/prefix" .Values.evidence.url $path) }}
{{- end }}
{{- end }}
{{- end }}
