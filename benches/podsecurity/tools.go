//go:build tools

// Package podsecurity pins the webhook that `make bench-webhook` compares with; see build.
package podsecurity

import _ "k8s.io/pod-security-admission/cmd/webhook"
