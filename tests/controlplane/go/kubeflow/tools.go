//go:build tools

// Package tools keeps the training operator's module in go.mod: ../../build takes the CRDs out of
// its manifests folder. Nothing compiles this file: its build tag is never set.
package tools

import _ "github.com/kubeflow/training-operator/pkg/apis/kubeflow.org/v1"
