# To be sourced: python312 prints a command for Python 3.12, from PATH or from pyenv (whose shim answers only when a
# version is chosen), and fails when there is none.
python312() {
    local version
    if python3.12 -c '' 2>/dev/null; then
        echo python3.12
    elif version=$(pyenv latest 3.12 2>/dev/null) && PYENV_VERSION=$version python3.12 -c '' 2>/dev/null; then
        echo "env PYENV_VERSION=$version python3.12"
    else
        return 1
    fi
}
