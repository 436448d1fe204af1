//go:build tools

// Package tools names the programs that ../../build compiles, so that `go mod tidy` keeps their
// modules in go.mod. Nothing compiles this file: its build tag is never set.
package tools

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
