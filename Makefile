# What a developer types. Everything else is cargo.

.PHONY: test prove bench fuzz tools

# Everything that must hold before a change goes in: installs what the tests run against, then all of them.
test: tools
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --locked

# The same tests with the large counts that the documentation promises; takes much longer.
prove: tools
	ROSTERD_PROVE=1 cargo test --locked
	ROSTERD_PROVE=1 cargo test --locked --profile dist --test it -- --test-threads=1 --nocapture cost::

# What a change costs, next to the least that it can cost: the table of docs/performance.md.
bench: tools
	cargo bench --locked --profile dist --bench cost

# What strangers write, at random, so many times for each target; one that takes over a second counts as hanging. Takes
# a nightly compiler, and cargo-fuzz (cargo install cargo-fuzz).
FUZZ_RUNS = 1000000
fuzz:
	$(call fuzz,payload,nodes) -dict=fuzz/payload.dict
	$(call fuzz,render,nodes) -dict=fuzz/payload.dict
	$(call fuzz,config,config) -dict=fuzz/config.dict
	$(call fuzz,memory,memory)
	$(call fuzz,request,request)
	$(call fuzz,replies,replies)
	$(call fuzz,ensemble,ensemble)

# One target, and the directory of its seeds.
fuzz = mkdir -p fuzz/corpus/$(1) && cargo +nightly fuzz run $(1) fuzz/corpus/$(1) fuzz/seeds/$(2) -- \
	-runs=$(FUZZ_RUNS) -timeout=1

# ZooKeeper, haproxy, nginx, pgpool and the like, where they are missing.
tools:
	.ci/install
