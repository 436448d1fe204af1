//go:build tools

// Package prometheus pins the program that ../../build builds.
package prometheus

import _ "github.com/prometheus/prometheus/cmd/prometheus"
