//! The scripts of the re-recording workflows. GitHub cannot be reached here, so `gh` is a stand-in that writes down its
//! arguments and answers what a test says; git and the repositories are real.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;
use tempfile::TempDir;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/github").join(name)
}

/// Runs a command; its exit status and what it printed.
fn says(command: &mut Command) -> String {
    let output = command.output().expect("starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    format!("exit {:?}\n{}{}", output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn git(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(["-c", "user.name=a", "-c", "user.email=a@example.org"]).args(args);
    let said = says(&mut command);
    assert!(said.starts_with("exit 0"), "git {args:?}: {said}");
    said.trim_start_matches("exit 0\n").to_owned()
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("lies in a folder")).expect("makes a folder");
    std::fs::write(path, text).expect("writes");
}

/// A clone on branch `my-branch`, and a folder with the stand-in for `gh`.
struct Desk {
    folder: TempDir,
}

/// Writes its arguments, one call a line, and answers with the file that is named after the first two.
const GH: &str = r#"#!/bin/sh
printf '%s' "gh" >>"$GH_LOG"
for word in "$@"; do printf ' [%s]' "$word" >>"$GH_LOG"; done
echo >>"$GH_LOG"
answer="$GH_ANSWERS/$1-$2"
case $1 in api) answer="$GH_ANSWERS/api-$(printf '%s' "$2" | tr '/' '_')" ;; esac
[ -e "$answer" ] || exit 1
cat "$answer"
"#;

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().expect("makes a folder") };
        let clone = desk.path("clone");
        for file in [
            "setups/llama-cpp.yaml",
            "setups/gpt.yaml",
            "suites/base.yaml",
            "test_cases/inference/a.yaml",
            "test_cases/agents/b.yaml",
        ] {
            write(&clone.join(file), "");
        }
        git(&clone, &["init", "--quiet", "--initial-branch=my-branch"]);
        git(&clone, &["add", "."]);
        git(&clone, &["commit", "--quiet", "-m", "x"]);
        write(&desk.path("bin/gh"), GH);
        std::fs::set_permissions(desk.path("bin/gh"), std::fs::Permissions::from_mode(0o755)).expect("sets");
        desk.answers("auth-status", "")
            .answers("repo-view", "me/llama-stack\n")
            .answers("api-repos_me_llama-stack_git_ref_heads_my-branch", "")
            .answers("api-repos_me_llama-stack_contents_.github_workflows_record.yml", "")
            .answers("workflow-run", "")
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn answers(self, call: &str, text: &str) -> Self {
        write(&self.path(&format!("answers/{call}")), text);
        self
    }

    fn does_not_answer(self, call: &str) -> Self {
        std::fs::remove_file(self.path(&format!("answers/{call}"))).expect("removes");
        self
    }

    fn schedule(&self, args: &[&str]) -> Command {
        let mut command = Command::new("bash");
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        command.arg(script("schedule-record-workflow.sh")).args(args).current_dir(self.path("clone"));
        command.env("PATH", path).env("GH_LOG", self.path("log")).env("GH_ANSWERS", self.path("answers"));
        command
    }

    /// How the script ended, and the calls of `gh` that start something.
    fn starts(&self, args: &[&str]) -> String {
        let said = says(&mut self.schedule(args));
        let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        let starts: Vec<&str> = log.lines().filter(|line| line.starts_with("gh [workflow]")).collect();
        format!("{said}\n{}", starts.join("\n")).trim_end().to_owned()
    }
}

#[test]
fn a_job_is_started_for_the_branch_with_what_was_asked_for() {
    assert_snapshot!(Desk::new().starts(&["--subdirs", "inference, agents"]), @r"
    exit 0
    started for my-branch of me/llama-stack: suite base, setup llama-cpp, only inference, agents
    watch it: gh run list --repo me/llama-stack --workflow record.yml
    gh [workflow] [run] [record.yml] [--repo] [me/llama-stack] [--ref] [my-branch] [-f] [suite=base] [-f] [setup=llama-cpp] [-f] [subdirs=inference, agents]
    ");
    assert_snapshot!(Desk::new().starts(&["-b", "my-branch", "--test-subdirs=inference", "--test-setup", "gpt", "-t", "base", "-k", "a b; $(rm -rf x) 'c'"]), @r"
    exit 0
    started for my-branch of me/llama-stack: suite base, setup gpt, only inference, matching a b; $(rm -rf x) 'c'
    watch it: gh run list --repo me/llama-stack --workflow record.yml
    gh [workflow] [run] [record.yml] [--repo] [me/llama-stack] [--ref] [my-branch] [-f] [suite=base] [-f] [setup=gpt] [-f] [subdirs=inference] [-f] [pattern=a b; $(rm -rf x) 'c']
    ");
}

#[test]
fn a_fork_is_recorded_in_the_fork_and_a_merged_branch_not_at_all() {
    let fork = Desk::new()
        .answers("pr-view", "OPEN\t7\tsomebody/llama-stack\n")
        .answers("api-repos_somebody_llama-stack_git_ref_heads_my-branch", "")
        .answers("api-repos_somebody_llama-stack_contents_.github_workflows_record.yml", "");
    assert_snapshot!(fork.starts(&[]), @r"
    exit 0
    started for my-branch of somebody/llama-stack: suite base, setup llama-cpp
    watch it: gh run list --repo somebody/llama-stack --workflow record.yml
    gh [workflow] [run] [record.yml] [--repo] [somebody/llama-stack] [--ref] [my-branch] [-f] [suite=base] [-f] [setup=llama-cpp]
    ");
    let merged = Desk::new().answers("pr-view", "MERGED\t7\tme/llama-stack\n");
    assert_snapshot!(merged.starts(&[]), @r"
    exit 1
    schedule-record-workflow.sh: pull request 7 of my-branch is merged: its branch takes no more commits
    ");
}

#[test]
fn nothing_is_started_when_something_is_wrong() {
    let wrong = |args: &[&str]| Desk::new().starts(args).lines().take(2).collect::<Vec<_>>().join(": ");
    let said = [
        wrong(&["--subdirs"]),
        wrong(&["--subdirs", "--suite"]),
        wrong(&["--subdirz", "a"]),
        wrong(&["inference"]),
        wrong(&["--subdirs=inference,agentz"]),
        wrong(&["--setup=ollama"]),
        wrong(&["--suite=vision"]),
        wrong(&["--branch=a..b"]),
        wrong(&["--branch=--exec=x"]),
        Desk::new().does_not_answer("auth-status").starts(&[]),
        Desk::new().does_not_answer("api-repos_me_llama-stack_git_ref_heads_my-branch").starts(&[]),
        Desk::new()
            .does_not_answer("api-repos_me_llama-stack_contents_.github_workflows_record.yml")
            .starts(&[]),
        Desk::new().does_not_answer("repo-view").starts(&[]),
        Desk::new().answers("repo-view", "$(x)/y\n").starts(&[]),
    ];
    assert_snapshot!(said.join("\n"), @r#"
    exit 4: schedule-record-workflow.sh: --subdirs needs a value
    exit 4: schedule-record-workflow.sh: --subdirs needs a value
    exit 4: schedule-record-workflow.sh: there is no option --subdirz
    exit 4: schedule-record-workflow.sh: "inference" is no option; folders are given as --subdirs "inference"
    exit 4: schedule-record-workflow.sh: there is no test_cases/agentz
    exit 4: schedule-record-workflow.sh: there is no setups/ollama.yaml; --setup names one of these: gpt.yaml llama-cpp.yaml
    exit 4: schedule-record-workflow.sh: there is no suites/vision.yaml; --suite names one of these: base.yaml
    exit 4: schedule-record-workflow.sh: "a..b" is no name of a branch
    exit 4: schedule-record-workflow.sh: --branch needs a value
    exit 1
    schedule-record-workflow.sh: gh is not logged in; run: gh auth login
    exit 1
    schedule-record-workflow.sh: me/llama-stack has no branch my-branch; push it first: git push --set-upstream origin my-branch
    exit 1
    schedule-record-workflow.sh: me/llama-stack has no .github/workflows/record.yml on its default branch; bring it up to date
    exit 1
    schedule-record-workflow.sh: gh finds no repository on GitHub for this clone
    exit 1
    schedule-record-workflow.sh: "$(x)/y" is no name of a repository
    "#);
}

#[test]
fn without_gh_it_says_where_to_get_it() {
    let desk = Desk::new();
    std::fs::remove_file(desk.path("bin/gh")).expect("removes");
    // Only what the script needs before it looks for gh.
    for name in ["bash", "git"] {
        let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(name));
        let found = found.iter().find(|path| path.exists()).expect("is installed");
        symlink(found, desk.path("bin").join(name)).expect("links");
    }
    let mut command = desk.schedule(&[]);
    command.env("PATH", desk.path("bin"));
    assert_snapshot!(says(&mut command), @r"
    exit 1
    schedule-record-workflow.sh: gh, GitHub's command line, is needed: https://cli.github.com
    ");
    let help = says(&mut desk.schedule(&["--help"]));
    for flag in ["--branch", "--subdirs", "--setup", "--suite", "--pattern", "--test-subdirs"] {
        assert!(help.starts_with("exit 0") && help.contains(flag), "{help}");
    }
}

/// A branch on a server, a clone of it, and recordings that were made for it.
struct Branch {
    folder: TempDir,
    commit: String,
}

impl Branch {
    /// The branch's files are made by `make`, in the clone.
    fn new(make: impl Fn(&Path)) -> Self {
        let folder = tempfile::tempdir().expect("makes a folder");
        let (server, clone) = (folder.path().join("server.git"), folder.path().join("clone"));
        git(folder.path(), &["init", "--quiet", "--bare", "server.git"]);
        git(folder.path(), &["init", "--quiet", "--initial-branch=my-branch", "clone"]);
        write(&clone.join("recordings/responses/old.json"), "{}");
        write(&clone.join("recordings/responses/same.json"), "{}");
        make(&clone);
        git(&clone, &["add", "."]);
        git(&clone, &["commit", "--quiet", "-m", "x"]);
        git(&clone, &["remote", "add", "origin", &server.display().to_string()]);
        git(&clone, &["push", "--quiet", "origin", "HEAD:refs/heads/my-branch"]);
        write(&folder.path().join("made/responses/new.json"), "{}");
        write(&folder.path().join("made/responses/same.json"), "{}");
        let commit = git(&clone, &["rev-parse", "HEAD"]);
        Self { folder, commit }
    }

    fn commits(&self, branch: &str, commit: &str) -> String {
        let mut command = Command::new("bash");
        command.arg(script("commit-recordings.sh")).args(["made", "clone", branch, commit]);
        says(command.current_dir(self.folder.path()).env("HOME", self.folder.path()))
    }

    /// The files of the branch on the server, and who wrote its last commit.
    fn server(&self) -> String {
        let server = self.folder.path().join("server.git");
        let files = git(&server, &["ls-tree", "-r", "--name-only", "my-branch"]).replace('\n', " ");
        format!("{files} by {}", git(&server, &["log", "-1", "--format=%an: %s", "my-branch"]))
    }
}

#[test]
fn recordings_are_committed_to_the_branch_and_only_once() {
    let branch = Branch::new(|_| ());
    assert_snapshot!(branch.commits("my-branch", &branch.commit), @r"
    exit 0
     recordings/responses/new.json | 1 +
     recordings/responses/old.json | 1 -
     2 files changed, 1 insertion(+), 1 deletion(-)
    committed to my-branch
    ");
    assert_snapshot!(branch.server(), @"recordings/responses/new.json recordings/responses/same.json by github-actions[bot]: Recordings made anew");
    let now = git(&branch.folder.path().join("clone"), &["rev-parse", "HEAD"]);
    assert_snapshot!(branch.commits("my-branch", &now), @r"
    exit 0
    nothing changed; there is nothing to commit
    ");
}

#[test]
fn what_a_branch_holds_is_neither_run_nor_followed() {
    let branch = Branch::new(|clone| write(&clone.join(".gitattributes"), "*.json filter=planted\n"));
    let hook = branch.folder.path().join("clone/.git/hooks/pre-commit");
    write(&hook, "#!/bin/sh\ntouch ran\n");
    std::fs::set_permissions(hook, std::fs::Permissions::from_mode(0o755)).expect("sets");
    // A filter that the machine has, as GitHub's have Git LFS, and that the branch asks for.
    write(&branch.folder.path().join(".gitconfig"), "[filter \"planted\"]\n\tclean = touch ran; cat\n");
    let said = branch.commits("my-branch", &branch.commit);
    assert!(said.starts_with("exit 0"), "{said}");
    assert!(!branch.folder.path().join("clone/ran").exists(), "something of the branch was run");

    let outside = tempfile::tempdir().expect("makes a folder");
    write(&outside.path().join("responses/precious.json"), "{}");
    let branch = Branch::new(|clone| {
        std::fs::remove_dir_all(clone.join("recordings")).expect("removes");
        symlink(outside.path(), clone.join("recordings")).expect("links");
    });
    assert_snapshot!(branch.commits("my-branch", &branch.commit), @r"
    exit 1
    commit-recordings: recordings is a link in my-branch
    ");
    assert!(outside.path().join("responses/precious.json").exists());
}

#[test]
fn nothing_is_committed_to_another_branch_than_was_recorded() {
    let branch = Branch::new(|_| ());
    let before = branch.server();
    assert_snapshot!(branch.commits("my-branch", "0000000000000000000000000000000000000000"), @r"
    exit 1
    commit-recordings: my-branch has other commits than when it was recorded; record it again
    ");
    assert_snapshot!(branch.commits("--force", &branch.commit), @r#"
    exit 1
    commit-recordings: "--force" is no name of a branch
    "#);
    write(&branch.folder.path().join("made/responses/.hidden.json"), "{}");
    assert_snapshot!(branch.commits("my-branch", &branch.commit), @r#"
    exit 1
    commit-recordings: "recordings/responses/.hidden.json" is no place for a recording
    "#);
    std::fs::remove_file(branch.folder.path().join("made/responses/.hidden.json")).expect("removes");
    symlink("/etc/passwd", branch.folder.path().join("made/responses/x.json")).expect("links");
    // The clone is what the refused attempt left.
    assert!(branch.commits("my-branch", &branch.commit).contains("is no plain file (mode 120000)"));
    assert_eq!(branch.server(), before);
}
