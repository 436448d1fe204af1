# Everything a person runs by hand. `make` alone lists it.

.DEFAULT_GOAL := help
.PHONY: help controlplane

help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

controlplane: ## build etcd, kube-apiserver and the others that the tests run against (about 10 minutes, once)
	@tests/controlplane/build
