//go:build tools

// Package oldest pins the program that ../../build compiles in the oldest supported version of Kubernetes.
package oldest

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
