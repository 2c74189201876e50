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
	ROSTERD_PROVE=1 cargo test --locked --release --test it -- --test-threads=1 --nocapture cost::

# What a change costs, next to the least that it can cost: the table of docs/performance.md.
bench: tools
	cargo bench --locked --bench cost

# What strangers write, at random, so many times for each target; one that takes over a second counts as hanging. Takes
# a nightly compiler, and cargo-fuzz (cargo install cargo-fuzz).
FUZZ_RUNS = 1000000
fuzz:
	cargo +nightly fuzz run payload -- -runs=$(FUZZ_RUNS) -timeout=1 -dict=fuzz/payload.dict
	cargo +nightly fuzz run render -- -runs=$(FUZZ_RUNS) -timeout=1 -dict=fuzz/payload.dict
	cargo +nightly fuzz run config -- -runs=$(FUZZ_RUNS) -timeout=1 -dict=fuzz/config.dict

# ZooKeeper, haproxy, nginx, pgpool and the like, where they are missing.
tools:
	.ci/install
