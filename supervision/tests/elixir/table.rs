//! Holds the list of cases to the tests.

use std::fs;
use std::path::Path;

/// Suite, case, class, test, remark.
fn cases() -> Vec<[String; 5]> {
    let list = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/elixir/cases.tsv")).unwrap();
    let fields = |line: &str| -> Vec<String> { line.split('\t').map(str::to_owned).collect() };
    list.lines().filter(|line| !line.starts_with('#')).map(|line| fields(line).try_into().unwrap()).collect()
}

#[test]
fn every_case_that_applies_is_a_test_and_the_others_say_why_not() {
    let cases = cases();
    let of = |suite: &str| cases.iter().filter(|case| case[0] == suite).count();
    assert_eq!((of("dynamic"), of("partition"), cases.len()), (41, 12, 53));
    let sources: Vec<String> = ["dynamic_restart", "dynamic_start", "dynamic_stop", "partition"]
        .map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/elixir/{name}.rs")))
        .map(|path| fs::read_to_string(path).unwrap())
        .into();
    for [_, case, class, test, remark] in &cases {
        match class.as_str() {
            "D" | "A" => {
                let declared = format!("async fn {test}() {{");
                let found = sources.iter().filter(|source| source.contains(&declared)).count();
                assert_eq!(found, 1, "{case} has no test {test}");
                assert_eq!(remark.is_empty(), class == "D", "{case}: say what is different, if something is");
            }
            "-" => assert!(test.is_empty() && !remark.is_empty(), "{case}: say why not"),
            other => panic!("{other} is no class"),
        }
    }
    let applies = cases.iter().filter(|case| case[2] != "-").count();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/supervision.md");
    let said = format!("{applies} of the {} cases", cases.len());
    assert!(fs::read_to_string(docs).unwrap().contains(&said), "docs/supervision.md should say `{said}`");
}
