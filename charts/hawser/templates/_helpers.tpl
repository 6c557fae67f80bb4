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

{{- /* Evidence is what claims are proved by: it goes with the pod only where somebody has said so. In a directory it needs a
       volume, as the container's root can't be written, and one pod alone finds it there. */ -}}
{{- define "hawser.checkEvidence" -}}
{{- if not (or .Values.evidence.url .Values.evidence.ephemeral) }}
{{- fail "evidence.url names no store of evidence, and without one all evidence is gone with the operator's pod: jobs that run then are paid no further, and nobody can verify those that ended. Set evidence.url to s3://bucket/prefix, or to file:///path on a volume of extraVolumes; or evidence.ephemeral=true for a demo in which nothing is sold" }}
{{- end }}
{{- if and (gt (int .Values.replicas) 1) (not (hasPrefix "s3://" .Values.evidence.url)) }}
{{- fail (printf "replicas is %d, but evidence lies in a directory of one pod, where the next leader would not find it: set evidence.url to s3://bucket/prefix, or replicas to 1" (int .Values.replicas)) }}
{{- end }}
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

{{- /* Ranges as the operator reads them: it would refuse at its start what is none, and a NetworkPolicy can't leave out
       everything. */ -}}
{{- define "hawser.clusterCidrs" -}}
{{- if not .Values.clusterCidrs }}
{{- fail "clusterCidrs is empty, so a job that may reach the internet would reach your networks too, but for what the operator finds of the cluster's own: name their ranges, e.g. [10.0.0.0/8]; jobs that reach nothing have isolation.egress: None in their GpuOffer" }}
{{- end }}
{{- $byte := "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])" }}
{{- range .Values.clusterCidrs }}
{{- $parts := splitList "/" . }}
{{- $address := first $parts }}
{{- $length := last $parts }}
{{- $v4 := regexMatch (printf "^%s([.]%s){3}$" $byte $byte) $address }}
{{- $groups := splitList ":" $address }}
{{- $named := len (compact $groups) }}
{{- $short := len (splitList "::" $address) }}
{{- $v6 := and (regexMatch "^[0-9a-fA-F]{0,4}(:[0-9a-fA-F]{0,4}){2,8}$" $address) (not (regexMatch "^:[^:]|[^:]:$|:::" $address)) }}
{{- $v6 = and $v6 (or (and (eq $short 2) (le $named 7)) (and (eq $short 1) (eq $named 8) (eq (len $groups) 8))) }}
{{- $fits := and (eq (len $parts) 2) (regexMatch "^(0|[1-9][0-9]{0,2})$" $length) (le (int $length) (ternary 32 128 $v4)) }}
{{- if not (and (or $v4 $v6) $fits) }}
{{- fail (printf "clusterCidrs: %q is no address range: write 10.0.0.0/8 or fd00::/8" .) }}
{{- end }}
{{- if eq (int $length) 0 }}
{{- fail (printf "clusterCidrs: %s is every address: for jobs that reach nothing, set isolation.egress: None in the GpuOffer" .) }}
{{- end }}
{{- end }}
{{- join "," .Values.clusterCidrs }}
{{- end }}
