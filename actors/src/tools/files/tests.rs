use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tools::contract::ToolContext;
use crate::tools::support::{call, context};

/// A state directory with a workspace that files are put into.
struct Bench(TempDir);

impl Bench {
    fn with(files: &[(&str, &str)]) -> Self {
        let home = TempDir::new().unwrap();
        fs::create_dir(home.path().join("workspace")).unwrap();
        fs::write(home.path().join("openclaw.json"), "secret").unwrap();
        let bench = Self(home);
        for (path, text) in files {
            bench.put(path, text.as_bytes());
        }
        bench
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join("workspace").join(path)
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn context(&self) -> ToolContext {
        context(self.0.path())
    }

    /// The text of a result, or of an error.
    async fn ask(&self, tool: &str, arguments: Value) -> String {
        self.ask_with(self.context(), tool, arguments).await
    }

    async fn ask_with(&self, context: ToolContext, tool: &str, arguments: Value) -> String {
        match call(context, tool, arguments).await {
            Ok(output) => output.text,
            Err(error) => format!("error: {error}"),
        }
    }
}

#[tokio::test]
async fn read_comes_in_pages_that_join_to_the_whole_file() {
    let whole: String = (1..=3000).map(|n| format!("line {n} of a long file, Grüße\n")).collect();
    let bench = Bench::with(&[("long.txt", &whole)]);
    let (mut read, mut offset, mut pages) = (String::new(), 1, 0);
    loop {
        let mut context = bench.context();
        context.result_chars = 16_000;
        let output = call(context, "read", json!({"path": "long.txt", "offset": offset})).await.unwrap();
        assert!(output.text.len() <= 16_000, "{}", output.text.len());
        let details = output.details.unwrap();
        let is_last = details["isLast"].as_bool().unwrap();
        let shown = output.text.split("\n[").next().unwrap();
        read.push_str(if is_last { &output.text } else { shown });
        pages += 1;
        if is_last {
            break;
        }
        offset += details["lines"].as_u64().unwrap();
        assert!(output.text.ends_with(&format!("go on with offset={offset}]")), "{}", output.text);
    }
    assert!(pages > 4, "{pages}");
    assert_eq!(read, whole);
    let some = bench.ask("read", json!({"path": "long.txt", "offset": 7, "limit": 2})).await;
    assert!(some.starts_with("line 7 of a long file, Grüße\nline 8 of"), "{some}");
    assert!(some.contains("lines 7-8 shown; go on with offset=9"), "{some}");
    let beyond = bench.ask("read", json!({"path": "long.txt", "offset": 4000})).await;
    assert_eq!(beyond, "error: long.txt has 3000 lines; there is no line 4000");
}

#[tokio::test]
async fn read_tells_what_is_no_text_and_what_is_odd_about_text() {
    let bench = Bench::with(&[("empty", ""), ("crlf.txt", "a\r\nb\r\n"), ("mark.txt", "\u{feff}hi")]);
    bench.put("image.png", b"\x89PNG\r\n\x1a\n\0\0");
    bench.put("binary", b"ab\0cd");
    bench.put("latin", b"Gr\xfc\xdfe\n");
    bench.put("one-line", "x".repeat(200_000).as_bytes());
    assert_eq!(bench.ask("read", json!({"path": "empty"})).await, "(the file is empty)");
    assert_eq!(bench.ask("read", json!({"path": "crlf.txt"})).await, "a\nb\n\n[lines end in CR LF]");
    assert_eq!(bench.ask("read", json!({"path": "mark.txt"})).await, "hi");
    let image = bench.ask("read", json!({"path": "image.png"})).await;
    assert_eq!(image, "error: image.png is image/png of 10 bytes; read shows text only");
    assert!(bench.ask("read", json!({"path": "binary"})).await.contains("a binary file of 5 bytes"));
    assert_eq!(bench.ask("read", json!({"path": "latin"})).await, "Gr\u{fffd}\u{fffd}e\n");
    let long = bench.ask("read", json!({"path": "one-line"})).await;
    assert!(long.len() < 64_000 && long.ends_with("line 1 has 200000 bytes and is cut]"), "{}", long.len());
    assert_eq!(bench.ask("read", json!({"path": "nowhere"})).await, "error: nowhere does not exist");
    assert!(bench.ask("read", json!({"path": "../openclaw.json"})).await.contains("outside of the workspace"));
}

#[tokio::test]
async fn a_huge_file_is_read_in_a_bounded_page() {
    let bench = Bench::with(&[]);
    let huge = fs::File::create(bench.path("huge")).unwrap();
    huge.set_len(8 << 30).unwrap();
    assert!(bench.ask("read", json!({"path": "huge"})).await.contains("a binary file of 8589934592 bytes"));
    let edited = bench.ask("edit", json!({"path": "huge", "edits": [{"oldText": "a", "newText": "b"}]})).await;
    assert!(edited.contains("more than 8388608 are not edited"), "{edited}");
}

#[tokio::test]
async fn write_makes_replaces_and_knows_when_nothing_changes() {
    let bench = Bench::with(&[]);
    let write = |content: &str| json!({"path": "notes/Öl 🦞.md", "content": content});
    let told = |output: Value| [&output["changed"], &output["created"]].map(|flag| flag.as_bool().unwrap());
    for (content, flags) in
        [("one", [true, true]), ("one", [false, false]), ("two", [true, false]), ("", [true, false])]
    {
        let output = call(bench.context(), "write", write(content)).await.unwrap();
        assert_eq!(told(output.details.unwrap()), flags, "{content}");
        assert_eq!(bench.text("notes/Öl 🦞.md"), content);
    }
    assert!(bench.ask("write", json!({"path": "notes", "content": "x"})).await.contains("is a folder"));
    let names: Vec<_> = fs::read_dir(bench.path("notes")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["Öl 🦞.md"]);
}

#[tokio::test]
async fn a_cancelled_call_changes_nothing() {
    let bench = Bench::with(&[]);
    let context = bench.context();
    context.cancel.cancel();
    let told = bench.ask_with(context, "write", json!({"path": "a", "content": "x"})).await;
    assert_eq!(told, "error: aborted before it had any effect");
    assert!(!bench.path("a").exists());
}

#[tokio::test]
async fn edit_replaces_what_is_there_exactly_once() {
    let bench = Bench::with(&[("a.txt", "one\ntwo\nthree\ntwo\n")]);
    let edit = |edits: Value| json!({"path": "a.txt", "edits": edits});
    for (edits, words) in [
        (json!([{"oldText": "four", "newText": "x"}]), "a.txt: oldText is not in the file"),
        (json!([{"oldText": "two", "newText": "x"}]), "a.txt: oldText is in the file 2 times"),
        (
            json!([{"oldText": "one\ntwo", "newText": "x"}, {"oldText": "two\nthree", "newText": "y"}]),
            "a.txt: edits[0] and edits[1] overlap",
        ),
        (json!([{"oldText": "one", "newText": "one"}]), "a.txt: the new text is what is there"),
        (json!([]), "bad arguments: edits must be at least 1 items"),
        (json!([{"oldText": "", "newText": "x"}]), "bad arguments: edits[0].oldText must be at least 1"),
    ] {
        let told = bench.ask("edit", edit(edits)).await;
        assert!(told.starts_with(&format!("error: {words}")), "{told}");
    }
    assert_eq!(bench.text("a.txt"), "one\ntwo\nthree\ntwo\n");
    let edits = json!([{"oldText": "three\ntwo", "newText": "3\n2"}, {"oldText": "one", "newText": "1"}]);
    assert_eq!(bench.ask("edit", edit(edits)).await, "Edited a.txt: 2 places, the first at line 1.");
    assert_eq!(bench.text("a.txt"), "1\ntwo\n3\n2\n");
    for older in [
        json!({"path": "a.txt", "oldText": "1", "newText": "i"}),
        json!({"path": "a.txt", "old_string": "i", "new_string": "I"}),
    ] {
        assert!(bench.ask("edit", older).await.starts_with("Edited a.txt: 1 place"));
    }
    assert_eq!(bench.text("a.txt"), "I\ntwo\n3\n2\n");
}

#[tokio::test]
async fn edit_keeps_line_ends_and_forgives_spelling() {
    let bench = Bench::with(&[
        ("crlf.txt", "\u{feff}a\r\nb\r\nc\r\n"),
        ("quotes.txt", "say \u{201c}hi\u{201d} \u{2013} now  \nnext\n"),
        ("overlap.txt", "aaa"),
    ]);
    bench.ask("edit", json!({"path": "crlf.txt", "edits": [{"oldText": "a\nb", "newText": "x\ny\nz"}]})).await;
    assert_eq!(bench.text("crlf.txt"), "\u{feff}x\r\ny\r\nz\r\nc\r\n");
    let told = bench
        .ask("edit", json!({"path": "quotes.txt", "edits": [{"oldText": "\"hi\" - now\nnext", "newText": "x"}]}))
        .await;
    assert_eq!(bench.text("quotes.txt"), "say x\n", "{told}");
    let told = bench.ask("edit", json!({"path": "overlap.txt", "edits": [{"oldText": "aa", "newText": "b"}]})).await;
    assert!(told.contains("2 times"), "{told}");
    bench.put("latin", b"Gr\xfc\xdfe\n");
    let told = bench.ask("edit", json!({"path": "latin", "edits": [{"oldText": "Gr", "newText": "b"}]})).await;
    assert!(told.contains("is not UTF-8 text"), "{told}");
}

#[tokio::test]
async fn a_patch_changes_all_its_files_or_none() {
    let bench = Bench::with(&[("a.txt", "one\ntwo\n"), ("b.txt", "bee\n"), ("old.txt", "x\n")]);
    let patch = |body: &str| json!({"input": format!("*** Begin Patch\n{body}\n*** End Patch")});
    for (body, words) in [
        ("*** Update File: a.txt\n-one\n+1\n*** Update File: b.txt\n-cee\n+c", "b.txt: hunk 1: these lines are not"),
        ("*** Update File: a.txt\n-one\n+1\n*** Add File: b.txt\n+x", "b.txt exists already"),
        ("*** Update File: a.txt\n*** Move to: b.txt\n-one\n+1", "b.txt exists already"),
        ("*** Update File: a.txt\n-one\n+1\n*** Add File: ../x\n+x", "../x is outside of the workspace"),
        ("*** Update File: a.txt\n-one\n+1\n*** Delete File: nowhere", "nowhere does not exist"),
    ] {
        let told = bench.ask("apply_patch", patch(body)).await;
        assert!(told.starts_with(&format!("error: {words}")), "{told}");
        assert_eq!(bench.text("a.txt"), "one\ntwo\n");
    }
    let body = "*** Add File: new/n.txt\n+n\n*** Delete File: old.txt\n*** Update File: a.txt\n*** Move to: moved/a.txt\n\
                @@\n one\n-two\n+2\n*** Update File: b.txt\n+end";
    let told = bench.ask("apply_patch", patch(body)).await;
    assert_eq!(told, "Changed 4 files:\nA new/n.txt\nD old.txt\nM a.txt -> moved/a.txt\nM b.txt");
    assert_eq!(bench.text("new/n.txt"), "n\n");
    assert_eq!(bench.text("moved/a.txt"), "one\n2\n");
    assert_eq!(bench.text("b.txt"), "bee\nend\n");
    assert!(!bench.path("a.txt").exists() && !bench.path("old.txt").exists());
}

#[tokio::test]
async fn ls_shows_names_in_pages() {
    let bench = Bench::with(&[("b/x", ""), ("a.txt", ""), (".hidden", "")]);
    symlink("a.txt", bench.path("link")).unwrap();
    assert_eq!(bench.ask("ls", json!({"path": "."})).await, ".hidden\na.txt\nb/\nlink@\n");
    assert_eq!(bench.ask("ls", json!({"path": "b"})).await, "x\n");
    assert_eq!(bench.ask("ls", json!({"path": "a.txt"})).await, "error: a.txt is not a folder");
    for n in 0..1200 {
        bench.put(&format!("many/{n:04}"), b"");
    }
    let (mut names, mut after) = (Vec::new(), String::new());
    loop {
        let output = call(bench.context(), "ls", json!({"path": "many", "after": after})).await.unwrap();
        names.extend(output.text.lines().take_while(|line| !line.is_empty()).map(str::to_owned));
        after.clone_from(names.last().unwrap());
        if output.details.unwrap()["isLast"] == true {
            break;
        }
        assert!(output.text.ends_with(&format!("go on with after={after:?}]")), "{}", output.text);
    }
    assert_eq!(names, (0..1200).map(|n| format!("{n:04}")).collect::<Vec<_>>());
}

fn tree() -> Bench {
    let bench = Bench::with(&[
        ("src/main.rs", "fn main() {\n    todo\n}\n"),
        ("src/lib.rs", "//! Lib\nfn Main() {}\n"),
        ("docs/a.md", "about main\n"),
        (".gitignore", "target/\n*.log\n!keep.log\n"),
        ("target/main.rs", "fn main() {}\n"),
        ("x.log", "main\n"),
        ("keep.log", "main\n"),
        (".git/config", "main\n"),
        ("sub/.gitignore", "secret.txt\n"),
        ("sub/secret.txt", "main\n"),
        ("sub/crlf.txt", "x\r\nmain\r\n"),
    ]);
    bench.put("binary", b"main\0");
    symlink("../openclaw.json", bench.path("out")).unwrap();
    symlink(bench.0.path(), bench.path("out-folder")).unwrap();
    bench
}

#[tokio::test]
async fn find_matches_names_and_leaves_out_what_is_ignored() {
    let bench = tree();
    for (arguments, expected) in [
        (json!({"pattern": "*.rs"}), "src/lib.rs\nsrc/main.rs\n"),
        (json!({"pattern": "src/*.rs"}), "src/lib.rs\nsrc/main.rs\n"),
        (json!({"pattern": "main.rs", "path": "src"}), "src/main.rs\n"),
        (json!({"pattern": "*.log"}), "keep.log\n"),
        (json!({"pattern": "d*"}), "docs/\n"),
        (json!({"pattern": "**/*.txt"}), "sub/crlf.txt\n"),
        (json!({"pattern": "nothing"}), "(nothing found)"),
        (json!({"pattern": "*.json"}), "(nothing found)"),
    ] {
        assert_eq!(bench.ask("find", arguments.clone()).await, expected, "{arguments}");
    }
    let some = bench.ask("find", json!({"pattern": "*.rs", "limit": 1})).await;
    assert!(some.starts_with("src/lib.rs\n\n[the first 1 are shown"), "{some}");
    assert!(bench.ask("find", json!({"pattern": "x", "path": "out-folder"})).await.contains("outside"));
}

#[tokio::test]
async fn grep_shows_lines_with_their_places() {
    let bench = tree();
    for (arguments, expected) in [
        (
            json!({"pattern": "main"}),
            "docs/a.md:1: about main\nkeep.log:1: main\nsrc/main.rs:1: fn main() {\nsub/crlf.txt:2: main\n",
        ),
        (
            json!({"pattern": "^fn main", "ignoreCase": true, "path": "src"}),
            "src/lib.rs:2: fn Main() {}\nsrc/main.rs:1: fn main() {\n",
        ),
        (json!({"pattern": "main(", "literal": true}), "src/main.rs:1: fn main() {\n"),
        (json!({"pattern": "main$", "glob": "*.md"}), "docs/a.md:1: about main\n"),
        (
            json!({"pattern": "todo", "context": 1}),
            "src/main.rs-1- fn main() {\nsrc/main.rs:2:     todo\nsrc/main.rs-3- }\n",
        ),
        (json!({"pattern": "^secret$"}), "(no matches)"),
    ] {
        assert_eq!(bench.ask("grep", arguments.clone()).await, expected, "{arguments}");
    }
    let some = bench.ask("grep", json!({"pattern": "main", "limit": 1})).await;
    assert!(some.contains("[the first 1 matches are shown"), "{some}");
    let bad = bench.ask("grep", json!({"pattern": "("})).await;
    assert!(bad.starts_with("error: bad arguments: pattern is no regular expression"), "{bad}");
    bench.put("wide.txt", format!("{}main\n", "x".repeat(100_000)).as_bytes());
    let wide = bench.ask("grep", json!({"pattern": "main", "path": "wide.txt"})).await;
    assert!(wide.len() < 700 && wide.ends_with(" …\n"), "{wide}");
}

#[tokio::test]
async fn what_a_model_is_shown_of_a_path_can_be_given_back() {
    let bench = tree();
    for line in bench.ask("find", json!({"pattern": "*"})).await.lines() {
        let tool = if line.ends_with('/') { "ls" } else { "read" };
        let told = bench.ask(tool, json!({"path": line})).await;
        let is_link = fs::symlink_metadata(bench.path(line.trim_end_matches('/'))).unwrap().is_symlink();
        assert!(is_link || !told.starts_with("error") || told.contains("binary"), "{line}: {told}");
    }
    assert!(Path::new(&bench.path("out")).symlink_metadata().is_ok());
}
