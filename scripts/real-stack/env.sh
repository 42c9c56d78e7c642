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

# for_responses FOLDER RUN_YAML: the next server is as that of pytest's reference run of the suite `responses`, which listed
# an embedding model that nothing there could run, beside Ollama's, the default one of its vector stores. An empty module in
# torch's place, in FOLDER, makes it list that one too. Sets responses_flags, for the runner.
for_responses() {
    mkdir -p "$1/absent"
    : >"$1/absent/torch.py"
    sed '/^  inference:$/a\  - {provider_id: sentence-transformers, provider_type: "inline::sentence-transformers"}' \
        "$2" >"$1/responses.yaml"
    export PYTHONPATH=$1/absent:$PYTHONPATH
    responses_flags=(--setup=gpt --stack=llama-stack "--stack-config=server:$1/responses.yaml"
        --env OLLAMA_URL=http://0.0.0.0:11434 --embedding-dimension=768
        --embedding-model=sentence-transformers/nomic-ai/nomic-embed-text-v1.5)
}
