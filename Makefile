# Commands for developers. For everything else, use cargo.

.PHONY: test prove bench deb fuzz docs tools

# All checks that must pass before a change is merged. Installs the software that the tests run against first.
test: tools
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --locked

# The modules with tests that have random inputs.
RANDOM_TESTS = act::files::block::tests act::tests::rollback decide::contender::tests decide::engine::tests decide::program::tests \
	fuzzing::tests render::tests state::last_good::tests text::yaml::tests watch::zookeeper::servers::ensemble::tests \
	watch::zookeeper::tests::changes zk::tests

# The same tests with the large counts that the documentation states, and with random seeds, which they print. This takes
# much longer.
prove: tools
	ROSTERD_PROVE=1 cargo test --locked --profile prove
	for run in $$(seq 20); do \
		ROSTERD_SEED=$$(od -An -N7 -tu8 /dev/urandom | tr -d ' ') \
			cargo test --locked --profile prove --lib -- $(RANDOM_TESTS) || exit 1; \
	done
	ROSTERD_ZOOKEEPER_JARS=$$(.ci/zookeeper-3.9) cargo test --locked --profile prove --test it -- ensemble:: connect::large
	ROSTERD_PROVE=1 cargo test --locked --profile dist --test it -- --test-threads=1 --nocapture cost:: serve::hostile::

# The cost of a change, compared with the lowest possible one: the tables of docs/performance.md.
bench: tools
	cargo bench --locked --profile dist --bench cost

# A Debian package, in target/debian/.
BUILT = $(or $(CARGO_TARGET_DIR),target)/dist/rosterd
deb:
	PATH="$$PWD/target/tools/bin:$$PATH" command -v cargo-deb >/dev/null || \
		cargo install --locked --root target/tools cargo-deb
	cargo build --locked --profile dist --bin rosterd
	rm -rf target/deb && mkdir -p target/deb/man
	$(BUILT) generate man target/deb/man
	$(BUILT) generate config > target/deb/rosterd.toml
	$(BUILT) generate schema > target/deb/schema.json
	$(BUILT) generate completions bash > target/deb/rosterd.bash
	$(BUILT) generate completions zsh > target/deb/_rosterd
	$(BUILT) generate completions fish > target/deb/rosterd.fish
	PATH="$$PWD/target/tools/bin:$$PATH" cargo deb --locked --no-build --profile dist --output target/debian/

# Fuzzes each target that parses untrusted input, FUZZ_RUNS times. A run of more than a second counts as a hang. Needs a
# nightly compiler, and cargo-fuzz (cargo install cargo-fuzz).
FUZZ_RUNS = 1000000
fuzz:
	$(call fuzz,payload,nodes) -dict=fuzz/payload.dict
	$(call fuzz,render,nodes) -dict=fuzz/payload.dict
	$(call fuzz,config,config) -dict=fuzz/config.dict
	$(call fuzz,memory,memory)
	$(call fuzz,request,request)
	$(call fuzz,replies,replies)
	$(call fuzz,ensemble,ensemble)
	$(call fuzz,migrate,migrate)

# One target, and the directory of its seeds.
fuzz = mkdir -p fuzz/corpus/$(1) && cargo +nightly fuzz run $(1) fuzz/corpus/$(1) fuzz/seeds/$(2) -- \
	-runs=$(FUZZ_RUNS) -timeout=1

# The manual, docs/, as a book in target/book. Installs mdbook into target/mdbook, if it is missing.
MDBOOK = $(shell command -v mdbook || echo target/mdbook/bin/mdbook)
docs:
	[ -x $(MDBOOK) ] || cargo install mdbook --version 0.5.4 --locked --root target/mdbook
	$(MDBOOK) build

# Installs ZooKeeper, haproxy, nginx, pgpool and other software of the tests, if missing.
tools:
	.ci/install
