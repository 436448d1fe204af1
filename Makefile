# Everything a person runs by hand. `make` alone lists it.

.DEFAULT_GOAL := help
.PHONY: help demo test test-faults test-hostile fuzz fuzz-smoke sbom reproducible lint check bench bench-instructions bench-webhook generate options fit-time controlplane neighbours test-neighbours test-oldest browser image-check

CARGO ?= cargo

help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## show all of it on a real control plane, until interrupted; ARGS=--once ends by itself
	@tests/controlplane/build --check
	@echo "weighbridge and the demo, with cargo: about 3 minutes on 2 cores the first time; then the control plane, about 10"
	@$(CARGO) build --bin weighbridge --example demo
	@$(CARGO) run --quiet --example demo -- $(ARGS)

test: controlplane ## run every test, the real control plane and a browser included
	@tests/browser/install || echo "so the tests of the pages fail; all others run"
	@echo "building the tests, with cargo: about 12 minutes on 2 cores the first time, and silent for half of it"
	$(CARGO) test --all-targets --no-run
	@echo "running those that need nothing but the code: about a minute"
	@$(CARGO) test --lib --bins --examples --benches --test local --no-fail-fast; status=$$?; \
	echo "running those on a real control plane: about 6 minutes; a test that takes more than one says so" && \
	$(CARGO) test --test kubernetes --no-fail-fast && exit $$status

test-faults: controlplane ## break the cluster around the gate under load: what is lost or wrong, and for how long (about 10 minutes)
	@previous=$$(tests/faults/previous) && \
	WEIGHBRIDGE_PREVIOUS=$$previous $(CARGO) test --test kubernetes -- faults:: --ignored --test-threads=1 --nocapture

test-oldest: controlplane ## run the suites on a cluster that need no chart once more, on the oldest supported Kubernetes (about 15 minutes)
	@assets=$$(tests/controlplane/build oldest --print) && \
	KUBEBUILDER_ASSETS=$$assets $(CARGO) test --test kubernetes -- harness::the_server_says_that_it_is_the_oldest --ignored && \
	KUBEBUILDER_ASSETS=$$assets $(CARGO) test --test kubernetes -- cluster:: $(addprefix --skip ,$(NOT_ON_THE_OLDEST))

# Tests of what 1.30 does not have: claims of devices (stable since 1.34), and fields of a definition to select by (since 1.31;
# 1.30 drops them, so kubectl finds the definition changed each time).
NOT_ON_THE_OLDEST = a_claim_that_is_created_later only_objects_that_ask_for_an_accelerator a_kind_that_is_installed_later

test-neighbours: controlplane neighbours ## run what is tested beside the real programs of others (about 8 minutes)
	$(CARGO) test --test kubernetes -- neighbours:: --ignored

test-hostile: controlplane ## attack a replica under the chart's memory limit, with a neighbour beside (about 10 minutes, as root)
	$(CARGO) test --test kubernetes -- hostile:: --ignored --nocapture
	$(CARGO) test --test kubernetes -- --test-threads=1 --nocapture $(ATTACKS)

# The suites of single attacks, which `make test` runs too.
ATTACKS = $(addprefix cluster::,$(addsuffix ::,bypasses children client_certificates floods gaps later logs memory \
	overrides people permissions poison privacy readiness scale updates))

fuzz: ## look for inputs that break a judgement, until interrupted (TARGET=…, else a minute each in turn)
	fuzz/run build
	@if [ -n "$(TARGET)" ]; then exec fuzz/run $(TARGET) $(ARGS); fi; \
	while :; do for target in $(FUZZED); do fuzz/run $$target -max_total_time=60 $(ARGS) || exit; done; done

fuzz-smoke: ## the same for two minutes, without a build of its own: inputs of the corpora, changed at random
	$(CARGO) test --test local hostile_input:: -- --include-ignored --nocapture

FUZZED = annotation configuration object policy python quantity review shell stream

sbom: ## write what the binary is made of, as CycloneDX: target/weighbridge.cdx.json
	@mkdir -p target && tests/supply/sbom.py > target/weighbridge.cdx.json && echo "target/weighbridge.cdx.json"

reproducible: ## build the binary twice, in folders of different names, and compare (PROFILE=release, or dev)
	@tests/supply/reproducible $(or $(PROFILE),release)

lint: ## check formatting, lints, the core without its edges, and dependencies
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --lib --no-default-features -- -D warnings
	$(CARGO) check --lib --no-default-features
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny check bans licenses sources && \
		{ $(CARGO) deny check advisories || echo "advisories are told and stop nothing: they change without a change here"; }; \
	else \
		echo "cargo-deny is not installed, so licences and advisories are not checked: cargo install --locked cargo-deny"; \
	fi

check: ## weigh the examples, as anybody would weigh their own manifests (ARGS=… for others)
	@$(CARGO) run --quiet -- check $(or $(ARGS),examples/); status=$$?; [ $$status -le 1 ]

bench: ## what a judgement takes, beside deserializing the same document (seconds, and the build)
	@times=$$($(CARGO) bench --quiet --no-default-features --bench judge) && echo "$$times" | awk -f benches/ratios.awk

bench-instructions: ## how many instructions a judgement takes, by valgrind: the same on a busy machine (a minute, and the build)
	@$(CARGO) bench --quiet --no-default-features --bench instructions

bench-webhook: controlplane ## what a review takes, beside Pod Security Admission's webhook, and beside a flood (ARGS=speed or fairness)
	@echo "building the release, with cargo: about 10 minutes on 2 cores the first time"
	@$(CARGO) bench --quiet --bench webhook -- $(ARGS)

generate: ## write all that is made from the code: the CRD, the tables of values and of annotations, and the snapshots
	$(CARGO) run --quiet -- crds > crds/new && mv crds/new crds/weighbridge.dev_trainingestimates.yaml
	cp crds/weighbridge.dev_trainingestimates.yaml charts/weighbridge/files/
	$(CARGO) run --quiet -- kinds > charts/weighbridge/files/new && mv charts/weighbridge/files/new charts/weighbridge/files/kinds.yaml
	WEIGHBRIDGE_GENERATE=1 INSTA_UPDATE=always $(CARGO) test --quiet --test kubernetes -- chart::values:: chart::rendered::
	WEIGHBRIDGE_GENERATE=1 $(CARGO) test --quiet --test local pages::the_
	INSTA_UPDATE=always $(CARGO) test --quiet --lib
	WEIGHBRIDGE_GENERATE=1 $(CARGO) test --quiet --test local accuracy::evidence
	INSTA_UPDATE=always $(CARGO) test --quiet --test local -- cases:: accuracy:: fix::
	WEIGHBRIDGE_GENERATE=1 $(CARGO) test --quiet --test local documents::every

options: ## write the lists of the options that released frameworks know (pip and git; ARGS=NAME for one list)
	tests/options/extract.py $(ARGS)
	INSTA_UPDATE=always $(CARGO) test --quiet --lib frameworks::effects

fit-time: ## write the fitted part of data/time.toml, from the published runs in tests/accuracy/throughput
	$(CARGO) run --quiet --no-default-features --example fit_time > data/fitted
	{ sed '/^# --- fitted/q' data/time.toml; cat data/fitted; } > data/new && mv data/new data/time.toml && rm data/fitted

controlplane: ## build etcd, kube-apiserver and the others that the tests run against (about 10 minutes, once)
	@tests/controlplane/build

neighbours: ## build Prometheus and Kueue, which stand beside weighbridge in a cluster (about 10 minutes, once)
	@tests/controlplane/build neighbours

browser: ## find a Chromium for the tests of the pages, or install Debian's
	@tests/browser/install

image-check: ## build the image's static binary and run it in an empty root (about 6 minutes, once)
	@tests/image
