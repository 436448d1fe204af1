{{/* Names, labels, and the table of kinds that the binary printed. */}}

{{- define "weighbridge.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 52 characters leave room for suffixes. */}}
{{- define "weighbridge.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "weighbridge.selectorLabels" -}}
app.kubernetes.io/name: {{ include "weighbridge.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "weighbridge.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "weighbridge.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "weighbridge.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "weighbridge.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The Secret with the CA of the replicas. */}}
{{- define "weighbridge.caSecret" -}}
{{- include "weighbridge.fullname" . }}-ca
{{- end }}

{{/* The Secret with the mounted certificate, in mode files. */}}
{{- define "weighbridge.tlsSecret" -}}
{{- default (printf "%s-tls" (include "weighbridge.fullname" .)) .Values.tls.secretName }}
{{- end }}

{{- define "weighbridge.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* The arguments for optional reads. */}}
{{- define "weighbridge.reads" -}}
{{- $on := list }}
{{- range $value, $flag := dict "configMaps" "--read-config-maps" "queues" "--read-queues" "claims" "--read-claims" }}
{{- if index $.Values.read $value }}
{{- $on = append $on $flag }}
{{- end }}
{{- end }}
{{- toJson $on }}
{{- end }}

{{/*
The entries of the kinds that the policy's file adds. The binary makes the same entries outside a cluster. For such a kind
no condition proves that an object asks for no accelerators. So it has only the first condition of the known kinds.
*/}}
{{- define "weighbridge.furtherEntries" -}}
{{- $deletion := (.Files.Get "files/kinds.yaml" | fromYaml).webhooks | first | dig "matchConditions" list | first }}
{{- $entries := list }}
{{- range .Values.config.workloads }}
{{- $slug := regexReplaceAll "-+$" (printf "%s-%s" .plural (replace "." "-" .group) | trunc 40) "" }}
{{- $rule := dict "apiGroups" (list .group) "apiVersions" (list .version) "resources" (list .plural (printf "%s/scale" .plural)) }}
{{- $rule = merge $rule (dict "operations" (list "CREATE" "UPDATE") "scope" "Namespaced") }}
{{- $entry := dict "name" (printf "%s.weighbridge.dev" $slug) "alwaysIgnore" false }}
{{- $entries = append $entries (merge $entry (dict "matchConditions" (list $deletion) "rules" (list $rule))) }}
{{- end }}
{{- toJson $entries }}
{{- end }}

{{/*
One rule of a role, from a permission of the table. Named objects are the release's own. In mode files another program
writes the caBundle, so the replicas only read it.
*/}}
{{- define "weighbridge.rule" -}}
{{- $verbs := .permission.verbs }}
{{- if and (eq .permission.resource "validatingwebhookconfigurations") (eq .root.Values.tls.mode "files") }}
{{- $verbs = without $verbs "patch" }}
{{- end -}}
- apiGroups: [{{ .permission.group | quote }}]
  resources: [{{ .permission.resource | quote }}]
  {{- if .permission.oneObject }}
  resourceNames:
    - {{ if eq .permission.resource "secrets" }}{{ include "weighbridge.caSecret" .root }}{{ else }}{{ include "weighbridge.fullname" .root }}{{ end }}
  {{- end }}
  verbs: {{ toJson $verbs }}
{{- end }}

{{/* The port of the Prometheus at an address: that of the address, or of its scheme. */}}
{{- define "weighbridge.prometheusPort" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- default (ternary "443" "80" (eq $url.scheme "https")) $port -}}
{{- end -}}
