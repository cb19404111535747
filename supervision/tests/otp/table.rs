//! Holds the list of cases to the tests, and the documentation to the list.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// How many cases OTP's suite has in each of its groups.
const GROUPS: [(&str, usize); 13] = [
    ("sup_start", 12),
    ("sup_start_map", 3),
    ("sup_stop", 7),
    ("ungrouped", 7),
    ("restart_one_for_one", 2),
    ("restart_one_for_all", 3),
    ("restart_simple_one_for_one", 6),
    ("restart_rest_for_one", 3),
    ("normal_termination", 4),
    ("shutdown_termination", 4),
    ("abnormal_termination", 3),
    ("significant", 14),
    ("misc", 25),
];
const BEGIN: &str = "<!-- OTP's cases: made from supervision/tests/otp/cases.tsv -->\n";
const END: &str = "<!-- end of OTP's cases -->\n";

/// In what form a case is tested here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Direct,
    Adapted,
    /// Ruled out by the types.
    Typed,
    /// Ruled out by the types in part.
    Partly,
    NotApplicable,
}

impl Class {
    fn parse(text: &str) -> Self {
        match text {
            "D" => Self::Direct,
            "A" => Self::Adapted,
            "T" => Self::Typed,
            "T/A" => Self::Partly,
            "-" => Self::NotApplicable,
            other => panic!("{other} is no class"),
        }
    }
}

struct Case {
    group: String,
    name: String,
    class: Class,
    letter: String,
    asserts: String,
    why: String,
}

impl Case {
    fn parse(line: &str) -> Self {
        let fields: Vec<&str> = line.split('\t').collect();
        let [group, name, letter, asserts, why] = fields[..] else { panic!("not five fields: {line}") };
        let [group, name, letter, asserts, why] = [group, name, letter, asserts, why].map(str::to_owned);
        Self { class: Class::parse(&letter), group, name, letter, asserts, why }
    }
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn cases() -> Vec<Case> {
    let list = fs::read_to_string(here().join("tests/otp/cases.tsv")).unwrap();
    list.lines().filter(|line| !line.starts_with('#')).map(Case::parse).collect()
}

/// The names of the tests in the files of a folder; one that is ignored is none.
fn tests_in(folder: &str) -> HashSet<String> {
    let mut names = HashSet::new();
    for entry in fs::read_dir(here().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(tests_of(&fs::read_to_string(path).unwrap()));
        }
    }
    names
}

fn tests_of(source: &str) -> Vec<String> {
    let (mut names, mut attributes) = (Vec::new(), Vec::new());
    for line in source.lines() {
        if line.starts_with("#[") {
            attributes.push(line);
        } else {
            let is_test = |line: &&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            let ignored = attributes.iter().any(|line| line.starts_with("#[ignore"));
            let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            if let Some((name, _)) = function.and_then(|rest| rest.split_once('('))
                && attributes.iter().any(is_test)
                && !ignored
            {
                names.push(name.to_owned());
            }
            attributes.clear();
        }
    }
    names
}

#[test]
fn the_list_has_all_of_otps_cases() {
    let cases = cases();
    assert_eq!(cases.len(), 93);
    for (group, count) in GROUPS {
        assert_eq!(cases.iter().filter(|case| case.group == group).count(), count, "{group}");
    }
    assert_eq!(cases.iter().map(|case| case.name.as_str()).collect::<BTreeSet<_>>().len(), 93, "a name comes twice");
    for case in &cases {
        assert!(!case.asserts.is_empty(), "{} asserts nothing", case.name);
        assert_eq!(case.why.is_empty(), case.class == Class::Direct, "{}: say why, if it is not as in OTP", case.name);
    }
}

#[test]
fn every_case_that_applies_has_its_tests() {
    let (shell, machine) = (tests_in("tests/otp"), tests_in("src/machine/tests/otp"));
    let cases = cases();
    let applies: Vec<&Case> = cases.iter().filter(|case| case.class != Class::NotApplicable).collect();
    let without = |tests: &HashSet<String>, cases: &[&Case]| -> Vec<String> {
        cases.iter().filter(|case| !tests.contains(&case.name)).map(|case| case.name.clone()).collect()
    };
    let direct: Vec<&Case> = applies.iter().copied().filter(|case| case.class == Class::Direct).collect();
    let missing = without(&shell, &applies);
    eprintln!("{} of {}", applies.len() - missing.len(), applies.len());
    assert!(missing.is_empty(), "no test against the shell: {missing:?}");
    let missing = without(&machine, &direct);
    assert!(missing.is_empty(), "no test against the machine: {missing:?}");
}

#[test]
fn the_documentation_shows_the_list() {
    let path = here().join("../docs/supervision.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    let wanted = section(&cases());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
    } else {
        assert!(shown == wanted, "docs/supervision.md shows another list: run this test with UPDATE_DOCS=1");
    }
}

/// What the documentation says of the list.
fn section(cases: &[Case]) -> String {
    let count = |wanted: &[Class]| cases.iter().filter(|case| wanted.contains(&case.class)).count();
    let (direct, adapted) = (count(&[Class::Direct]), count(&[Class::Adapted]));
    let (typed, partly) = (count(&[Class::Typed]), count(&[Class::Partly]));
    let applies = direct + adapted + typed + partly;
    let mut text = String::new();
    writeln!(
        text,
        "{applies} of {applies}: of the {} cases of OTP's suite for supervisors, {applies} apply, and each is a test of \
         the same name in\n`supervision/tests/otp/`, against the real runtime. {direct} are direct (D); those are also \
         tests of the decisions alone, in\n`supervision/src/machine/tests/otp/`. {adapted} have the same intent in the \
         form it has here (A). {typed} can't be written down because of the types\n(T), {partly} only in part (T/A); \
         their tests hold what is left.\n",
        cases.len()
    )
    .unwrap();
    writeln!(text, "| group | case | | what ours asserts |\n|---|---|---|---|").unwrap();
    let mut last = "";
    for case in cases {
        let group = if case.group == last { "" } else { case.group.as_str() };
        last = &case.group;
        let why = if case.why.is_empty() { String::new() } else { format!(" ({})", case.why) };
        writeln!(text, "| {group} | {} | {} | {}{why} |", case.name, case.letter, case.asserts).unwrap();
    }
    text
}
