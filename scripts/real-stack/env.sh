# To be sourced: lets `llama stack run` find its program, its data and its defaults. Provider addresses are not
# set here: the runner gives the stack its proxy's.
_repo=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/../.." && pwd)
_venv=$_repo/target/real-stack/venv
_shared=$(cd "$_repo" && cd "${RUNNER_SHARED:-../shared}" && pwd)

export PATH=$_venv/bin:$PATH
# sitecustomize.py there gives Python an SQLite that can load extensions.
export PYTHONPATH=$_shared/real-stack${PYTHONPATH:+:$PYTHONPATH}
# tiktoken would fetch its vocabulary from the internet; litellm ships the same file.
export TIKTOKEN_CACHE_DIR=$_venv/lib/python3.12/site-packages/litellm/litellm_core_utils/tokenizers
export SQLITE_STORE_DIR=${SQLITE_STORE_DIR:-$_repo/target/real-stack/state}
export FILES_STORAGE_DIR=${FILES_STORAGE_DIR:-$SQLITE_STORE_DIR/files}
export SAFETY_MODEL=${SAFETY_MODEL:-ollama/llama-guard3:1b}
export TAVILY_SEARCH_API_KEY=fake
mkdir -p "$SQLITE_STORE_DIR" "$FILES_STORAGE_DIR"
unset _repo _venv _shared
