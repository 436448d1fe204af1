//go:build tools

// Package kueue pins the program that ../../build builds, and the manifests that it copies.
package kueue

import _ "sigs.k8s.io/kueue/cmd/kueue"
