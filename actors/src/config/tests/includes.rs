use serde_json::json;

use super::*;

#[test]
fn files_are_merged_and_what_stands_beside_wins() {
    let place = Place::with(
        "{ gateway: { $include: 'parts/gw.json5', port: 5 }, session: { $include: ['parts/a.json5', 'parts/b.json5'] }, channels: { telegram: { allowFrom: { $include: './list.json5' } } } }",
    );
    place.write("parts/gw.json5", "{ port: 4, bind: 'lan', auth: { $include: '../auth.json5' } }");
    place.write("auth.json5", "{ token: '${T}' }");
    place.write("parts/a.json5", "{ scope: 'global', resetTriggers: ['a'], sharing: { drafts: true } }");
    place.write("parts/b.json5", "{ scope: 'per-sender', resetTriggers: ['b'], sharing: { suggest: true } }");
    place.write("list.json5", "[1, 2]");
    let place = place.env("T", "t");
    let snapshot = place.load();
    assert_eq!(snapshot.authored["gateway"], json!({"port": 5, "bind": "lan", "auth": {"token": "t"}}));
    let session =
        json!({"scope": "per-sender", "resetTriggers": ["a", "b"], "sharing": {"drafts": true, "suggest": true}});
    assert_eq!(snapshot.authored["session"], session);
    assert_eq!(snapshot.authored["channels"]["telegram"]["allowFrom"], json!([1, 2]));
    assert_eq!(snapshot.files.len(), 6);
}

#[test]
fn a_change_in_an_included_file_changes_the_fingerprint_only() {
    let place = Place::with("{ $include: 'a.json5' }");
    place.write("a.json5", "{}");
    let before = place.load();
    place.write("a.json5", "{ gateway: { port: 3 } }");
    let after = place.load();
    assert_eq!(before.hash, after.hash);
    assert_ne!(before.fingerprint, after.fingerprint);
}

#[test]
fn issues_name_the_included_file() {
    let place = Place::with("{ gateway: { $include: 'gw.json5' }, logging: { $include: 'broken.json5' } }");
    place.write("gw.json5", "{\n prt: 4 }");
    assert_eq!(place.issues()[0].path, "logging.$include");
    place.write("broken.json5", "{");
    assert!(place.issues()[0].file.ends_with("broken.json5"));
    place.write("broken.json5", "{}");
    let issue = &place.issues()[0];
    assert!(issue.file.ends_with("gw.json5"));
    assert_eq!((issue.line, issue.column, issue.path.as_str()), (2, 2, "gateway.prt"));
}

#[test]
fn includes_are_confined_bounded_and_without_circles() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("x.json5"), "{}").unwrap();
    let far = outside.path().join("x.json5");
    for (target, found) in [
        (format!("{:?}", far.display().to_string()), "lies outside"),
        ("'../../../../etc/hostname'".into(), "lies outside"),
        ("'none.json5'".into(), "cannot be opened"),
        ("''".into(), "unusable path"),
        (format!("'{}'", "a/".repeat(3000)), "unusable path"),
        ("'a\\u0000b'".into(), "unusable path"),
        ("'sub'".into(), "is a directory"),
        ("'loop.json5'".into(), "circle"),
        ("'openclaw.json'".into(), "circle"),
        ("'d0.json5'".into(), "too deep"),
        ("5".into(), "a number"),
        ("['scalar.json5', 'scalar.json5']".into(), "in a file to merge"),
    ] {
        let place = Place::with(&format!("{{ gateway: {{ $include: {target} }} }}"));
        fs::create_dir(place.path("sub")).unwrap();
        place.write("loop.json5", "{ auth: { $include: 'loop.json5' } }");
        place.write("scalar.json5", "5");
        for n in 0..12 {
            place.write(&format!("d{n}.json5"), &format!("{{ $include: 'd{}.json5' }}", n + 1));
        }
        let issues = place.issues();
        assert!(issues[0].found.contains(found), "{target}: {issues:?}");
        assert!(issues[0].path.ends_with("$include"));
    }
    let place = Place::with(&format!("{{ gateway: {{ $include: {:?} }} }}", far.display().to_string()))
        .env("OPENCLAW_INCLUDE_ROOTS", &outside.path().display().to_string());
    place.load();
}

#[test]
fn includes_cannot_multiply_without_end() {
    let place = Place::with("{ $include: ['a0.json5', 'a0.json5'] }");
    for n in 0..9 {
        let next = n + 1;
        place.write(
            &format!("a{n}.json5"),
            &format!("{{ $include: ['a{next}.json5', 'a{next}.json5', 'a{next}.json5'] }}"),
        );
    }
    place.write("a9.json5", "{}");
    assert!(place.issues().iter().any(|issue| issue.found == "too many includes"));
}

#[cfg(unix)]
#[test]
fn a_link_does_not_lead_an_include_outside() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("x.json5"), "{}").unwrap();
    let place = Place::with("{ $include: 'link.json5' }");
    std::os::unix::fs::symlink(outside.path().join("x.json5"), place.path("link.json5")).unwrap();
    assert!(place.issues()[0].found.contains("lies outside"));
}
