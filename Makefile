# make demo    try it: a PIN for sudo, on a machine of its own inside this one; PROVIDER=entra or adfs: in an organisation
# make check   everything that must hold before a change is accepted
# make bench   the figures of the README, measured on this machine
# make deb     the two Debian packages; make deb-proof builds them twice and compares
# make check-machine  the packages on an emulated machine with a TPM, console and desktop; before a release
# make fuzz    looks for bytes from outside that break a parser, FUZZ_SECONDS for each
# make red     shows that the tests of attacks can fail: takes one guard after the other away, in a copy
#
# Needs Debian 12 or 13, Rust 1.89 or later (make check: with rustfmt and clippy), and root: all but deb and fuzz make mounts
# and namespaces of their own, and leave the machine as it was, but for the Debian packages that they say they install.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

CARGO ?= cargo
BUILT = $(or $(CARGO_TARGET_DIR),target)/release
MACHINES = $(or $(CARGO_TARGET_DIR),target)/machines
DEB = $(abspath $(or $(CARGO_TARGET_DIR),target))/deb

BUILD_PACKAGES := clang libclang-dev libkrb5-dev libpam0g-dev libtss2-dev pkg-config
DEB_PACKAGES := build-essential debhelper dh-apparmor gettext lintian pandoc
CONTAINER_PACKAGES := debootstrap systemd-container
MACHINE_PACKAGES := debootstrap e2fsprogs nbdkit qemu-system-x86 qemu-utils swtpm util-linux
LAB_PACKAGES := curl dbus dbus-daemon fprintd gdb iproute2 krb5-admin-server krb5-kdc libnss-systemd libtss2-tcti-device0 libtss2-tcti-swtpm0 locales login openssl pamtester pkexec polkitd procps python3-venv sudo swtpm tpm2-tools util-linux
PACKAGES := $(BUILD_PACKAGES) $(DEB_PACKAGES) $(CONTAINER_PACKAGES) $(LAB_PACKAGES)

# Lockers and what runs them without a screen, for the tests alone: 40 MB. Plasma 5 is Debian 12's.
LOCKER_PACKAGES := libpam-fprintd mako-notifier perl-base sway swaylock wtype
PLASMA_PACKAGES := libkscreenlocker5 libkworkspace5-5 plasma-framework qml-module-org-kde-kquickcontrolsaddons
HAS_PLASMA := $(filter 12.%,$(file < /etc/debian_version))
# Where somebody signs in at a directory as people do. 400 MB, once unpacked.
BROWSER_PACKAGES := chromium chromium-driver
DESKTOP_PACKAGES := $(LOCKER_PACKAGES) $(BROWSER_PACKAGES) $(if $(HAS_PLASMA),$(PLASMA_PACKAGES))

.PHONY: demo
demo:
	$(MAKE) privilege FOR=demo
	$(MAKE) packages PACKAGES='$(BUILD_PACKAGES) $(LAB_PACKAGES)'
	$(MAKE) stage
	@exec $(BUILT)/demo $(PROVIDER)

.PHONY: bench
bench:
	$(MAKE) privilege FOR=bench
	$(MAKE) packages PACKAGES='$(BUILD_PACKAGES) $(LAB_PACKAGES)'
	$(CARGO) build --locked --release -p hellod --example yardstick
	$(MAKE) stage
	@exec $(BUILT)/bench

# The copy and its build lie in the build directory, beside what is shipped and never in it. ONLY="own-budget srk-pin" for some.
.PHONY: red
red:
	$(MAKE) privilege FOR=red
	$(MAKE) packages PACKAGES='$(BUILD_PACKAGES) $(LAB_PACKAGES)'
	$(CARGO) build --locked -p hello_tests --bin red
	@exec $(or $(CARGO_TARGET_DIR),target)/debug/red $(ONLY)

# What is shown and measured is what is shipped; around it comes the laboratory.
.PHONY: stage
stage:
	$(CARGO) build --locked --release -p hello_tests -p hello_idp --bins
	$(MAKE) release

# Said first, before anything is installed or built.
.PHONY: privilege
privilege:
	@if (( EUID != 0 )) || ! unshare --mount --pid --fork true 2>/dev/null; then \
		echo 'This needs root with CAP_SYS_ADMIN, because it builds a machine of its own from mounts and namespaces.' >&2; \
		echo 'Run: sudo env "PATH=$$PATH" make $(FOR)' >&2; \
		echo 'In a container: start it with --cap-add SYS_ADMIN, without its AppArmor and seccomp confinement.' >&2; exit 1; \
	fi

# Below target/deb, in which the next run finds what this one has built.
.PHONY: deb
deb:
	@$(MAKE) packages PACKAGES='$(BUILD_PACKAGES) $(DEB_PACKAGES)'
	@CARGO='$(CARGO)' debian/package $(DEB)

# Two builds in two directories, each from nothing: the same octets, or it fails.
.PHONY: deb-proof
deb-proof:
	@$(MAKE) packages PACKAGES='$(BUILD_PACKAGES) $(DEB_PACKAGES)'
	rm -rf $(DEB)-one $(DEB)-of-another-name
	CARGO='$(CARGO)' debian/package $(DEB)-one
	CARGO='$(CARGO)' debian/package $(DEB)-of-another-name
	@cd $(DEB)-one; sha256sum *.deb | tee $(DEB)-one/sums; cd $(DEB)-of-another-name; sha256sum --check --quiet $(DEB)-one/sums; \
	echo 'deb-proof: two builds, the same packages'

# Every remark of lintian counts, pedantic ones too; what is overridden has its reason beside it. The project has no mail
# host, which is overridden in the packages, but can't be in the file that only describes the upload. The other two tags
# Debian 13 no longer has, so that an override would be a remark of its own there: the changelog's address again, and no
# script for another init than systemd, which starts hellod when the bus asks.
.PHONY: deb-lint
deb-lint:
	DEB_BUILD_OPTIONS=anytoolchain CARGO='$(CARGO)' debian/package $(DEB)
	@known=bogus-mail-host; \
	for tag in bogus-mail-host-in-debian-changelog package-supports-alternative-init-but-no-init.d-script; do \
		if [[ -n $$(find /usr/share/lintian/tags -name "$$tag.tag") ]]; then known+=,$$tag; fi; \
	done; \
	lintian --allow-root --pedantic --display-info --display-experimental --suppress-tags "$$known" \
		--fail-on error,warning,info,pedantic,experimental $(DEB)/*.changes; \
	echo 'deb-lint: lintian has nothing to say'

# The steps of check follow each other, also under `make -j`: they share one build directory.
.PHONY: check
check:
	$(MAKE) packages FOR_TESTS='$(DESKTOP_PACKAGES)'
	$(if $(HAS_PLASMA),$(MAKE) plasma)
	$(MAKE) sssd
	$(MAKE) toolchain
	$(MAKE) format
	$(MAKE) build
	$(MAKE) lint
	$(MAKE) deb-lint
	$(MAKE) test
	$(MAKE) fuzz-smoke
	$(MAKE) doc
	$(MAKE) deny
	$(MAKE) clean-tree
	@echo 'make check: everything holds'

# Debian 13 has libraries under new names, with t64 behind the old ones.
.PHONY: packages
packages:
	@missing=(); \
	for package in $(PACKAGES) $(FOR_TESTS); do \
		[[ $$(dpkg-query -W -f '$${db:Status-Status}' "$$package" 2>/dev/null) == installed ]] || \
		[[ $$(dpkg-query -W -f '$${db:Status-Status}' "$${package}t64" 2>/dev/null) == installed ]] || missing+=("$$package"); \
	done; \
	if (( $${#missing[@]} == 0 )); then echo 'packages: all there'; exit 0; fi; \
	if (( EUID != 0 )); then \
		echo "packages: missing. Run: sudo apt-get install --no-install-recommends $${missing[*]}" >&2; exit 1; \
	fi; \
	echo "packages: installing $${missing[*]}"; \
	apt-get update -q; \
	DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$${missing[@]}"

# The lock screen inside kscreenlocker wants one module of plasma-workspace, and that package brings 280 others: 3 MB instead of 220.
PLASMA := $(or $(CARGO_TARGET_DIR),target)/plasma
SSSD := $(or $(CARGO_TARGET_DIR),target)/sssd
.PHONY: plasma
plasma:
	@if [[ -e $(PLASMA)/sessions/qmldir ]]; then echo 'plasma: there'; exit 0; fi; \
	room=$$(mktemp -d); trap 'rm -rf "$$room"' EXIT; cd "$$room"; \
	apt-get -o APT::Sandbox::User=root download -q plasma-workspace; dpkg-deb -x plasma-workspace_*.deb .; cd "$$OLDPWD"; \
	mkdir -p $(PLASMA); cp -r "$$room"/usr/lib/*/qt5/qml/org/kde/plasma/private/sessions $(PLASMA)/

# SSSD and a directory for it that is a file; unpacked alone, for installed it would be in the PAM files of this machine.
.PHONY: sssd
sssd:
	@if [[ -e $(SSSD)/usr/sbin/sssd ]]; then echo 'sssd: there'; exit 0; fi; \
	room=$$(mktemp -d); trap 'rm -rf "$$room"' EXIT; mkdir -p "$$room/partial" $(SSSD); \
	apt-get -o APT::Sandbox::User=root -o Dir::Cache::archives="$$room" install -q --yes --download-only --no-install-recommends \
		sssd-proxy libnss-sss libnss-extrausers; \
	for package in "$$room"/*.deb; do dpkg-deb -x "$$package" $(SSSD); done

.PHONY: toolchain
toolchain:
	@wanted=$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml); \
	have=$$(rustc --version | cut -d' ' -f2 | cut -d- -f1); \
	if ! printf '%s\n' "$$wanted" "$$have" | sort -CV; then \
		echo "toolchain: rustc $$have is too old, $$wanted or later is needed: https://rustup.rs" >&2; exit 1; \
	fi; \
	$(CARGO) fmt --version; $(CARGO) clippy --version

.PHONY: format
format:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check

.PHONY: build
build:
	$(CARGO) build --locked --workspace

.PHONY: release
release:
	$(CARGO) build --locked --release -p hellod -p helloctl
	# By itself: built together with the daemon, the module would get the serving half of zbus, too.
	$(CARGO) build --locked --release -p pam_hello

.PHONY: lint
lint:
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

.PHONY: test
test: build
	@if (( EUID != 0 )); then echo 'test: the laboratory needs root. Run: sudo -E make test' >&2; exit 1; fi
	# One more than there are cores: many of them wait, for PAM's delays and for machines that start.
	$(CARGO) test --locked --workspace --exclude pam_hello --no-fail-fast -- --test-threads=$$(($$(nproc) + 1))
	# The module as it is shipped: built by itself, without what the daemon wants of zbus.
	$(CARGO) test --locked -p pam_hello --no-fail-fast

# Without KVM, which a machine that is itself a guest can seldom offer, and so slow; the first run makes what is then
# kept below target/machines. Two machines at a time, before whatever else runs here: the deadlines inside are short.
# Of the console's tests, those that follow the desktop's; so both sides take as long.
BESIDE := at_the_end nobody_confirms
.PHONY: check-machine
check-machine:
	@if (( EUID != 0 )); then echo 'check-machine: it builds a disk with the accounts of a system. Run: sudo -E make check-machine' >&2; exit 1; fi
	@$(MAKE) packages PACKAGES='$(BUILD_PACKAGES) $(DEB_PACKAGES) $(MACHINE_PACKAGES)'
	@have=$$(qemu-system-x86_64 --version | sed -n 's/^QEMU emulator version \([0-9]*\).*/\1/p'); \
	if (( have < 10 )); then \
		echo "check-machine: under QEMU $$have the memory of a kernel of Debian 13 gets corrupted. On Debian 12, with" >&2; \
		echo 'bookworm-backports among the sources of apt: apt-get install -t bookworm-backports qemu-system-x86 qemu-utils' >&2; exit 1; \
	fi
	$(CARGO) test --locked -p hello_tests --test machine --test desktop --no-run
	@mkdir -p $(MACHINES); \
	machines() { nice -n -15 $(CARGO) test --locked -p hello_tests --no-fail-fast "$$@" --ignored --test-threads=1 --nocapture; }; \
	echo 'check-machine: the desktop runs beside the console; what it says comes at the end.'; \
	{ failed=0; machines --test desktop -- || failed=$$?; machines --test machine -- $(BESIDE) || failed=$$?; exit $$failed; } \
		>$(MACHINES)/beside.log 2>&1 & beside=$$!; \
	failed=0; machines --test machine -- $(BESIDE:%=--skip %) || failed=$$?; \
	wait $$beside || failed=$$?; cat $(MACHINES)/beside.log; exit $$failed

FUZZ_SECONDS ?= 60

.PHONY: fuzz
fuzz:
	CARGO='$(CARGO)' fuzz/run $(FUZZ_SECONDS)

# Long enough to see that each target still builds, holds with its seeds and finds its way from them.
.PHONY: fuzz-smoke
fuzz-smoke:
	CARGO='$(CARGO)' fuzz/run 5

.PHONY: doc
doc:
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps --document-private-items

.PHONY: deny
deny:
	@$(CARGO) deny --version 2>/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny check bans licenses sources
	@if $(CARGO) deny fetch db; then \
		$(CARGO) deny check advisories; \
	else \
		echo 'deny: SKIPPED advisories, the RustSec database could not be fetched'; \
	fi

# A build or a test that leaves something behind, or that needs a file nobody added, shows here.
.PHONY: clean-tree
clean-tree:
	@if ! git rev-parse --is-inside-work-tree >/dev/null 2>&1; then echo 'clean-tree: not a git checkout'; exit 0; fi; \
	changed=$$(git status --porcelain); \
	if [[ -n $$changed ]]; then printf 'clean-tree: not clean:\n%s\n' "$$changed" >&2; exit 1; fi
