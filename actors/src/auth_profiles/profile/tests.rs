use super::*;
use crate::auth_profiles::outcome::ErrorClass;

const FILE: &str = r#"{
  "version": 1,
  "profiles": {
    "anthropic:default": {"type":"api_key","provider":"anthropic","key":"sk-file"},
    "anthropic:work": {"type":"api_key","provider":"anthropic","keyRef":{"source":"env","provider":"default","id":"WORK_KEY"}},
    "openai:me@x.com": {"type":"oauth","provider":"openai","access":"a","refresh":"r","expires":1736}
  },
  "order": {},
  "lastGood": {"anthropic":"anthropic:default"},
  "usageStats": {"anthropic:default":{"lastUsed":7,"cooldownUntil":9,"cooldownReason":"rate_limit","errorCount":2}}
}"#;

fn env(name: &str) -> Option<String> {
    match name {
        "WORK_KEY" => Some("sk-work".into()),
        "ANTHROPIC_API_KEY" => Some(" sk-env\n".into()),
        "EMPTY" => Some("  ".into()),
        _ => None,
    }
}

fn ids(candidates: &[Candidate]) -> Vec<&str> {
    candidates.iter().map(|candidate| candidate.id.as_str()).collect()
}

fn anthropic() -> ProfileSource {
    ProfileSource {
        configured_key: Some(Secret::new("sk-conf")),
        env_names: vec!["EMPTY".into(), "ANTHROPIC_API_KEY".into()],
        keyless: false,
        address: String::new(),
    }
}

#[test]
fn configured_key_comes_before_the_file_and_the_environment() {
    let file = ProfileFile::parse(FILE).unwrap();
    let found = candidates("anthropic", &anthropic(), &file, &env);
    assert_eq!(ids(&found), ["anthropic:config", "anthropic:default", "anthropic:work", "anthropic:env"]);
    let keys: Vec<&str> = found.iter().map(|candidate| candidate.secret.as_ref().unwrap().expose()).collect();
    assert_eq!(keys, ["sk-conf", "sk-file", "sk-work", "sk-env"]);
    assert_eq!(found[1].stats.as_ref().unwrap().error_count, 2);
}

#[test]
fn an_explicit_order_is_exclusive_among_stored_profiles() {
    let text = FILE.replace(r#""order": {}"#, r#""order": {"anthropic":["anthropic:work"]}"#);
    let file = ProfileFile::parse(&text).unwrap();
    let source = ProfileSource::default();
    assert_eq!(ids(&candidates("anthropic", &source, &file, &env)), ["anthropic:work"]);
}

#[test]
fn order_and_use_are_also_read_from_the_separate_state_file() {
    let mut file = ProfileFile::parse(FILE).unwrap();
    let state = r#"{"version":1,"order":{"anthropic":["anthropic:work","anthropic:default"]},
        "usageStats":{"anthropic:work":{"errorCount":4}}}"#;
    file.add_state(state).unwrap();
    let found = candidates("anthropic", &ProfileSource::default(), &file, &env);
    assert_eq!(ids(&found), ["anthropic:work", "anthropic:default"]);
    assert_eq!(found[0].stats.as_ref().unwrap().error_count, 4);
    assert_eq!(found[1].stats.as_ref().unwrap().error_count, 2);
}

#[test]
fn logins_and_unresolved_keys_are_skipped() {
    let file = ProfileFile::parse(FILE).unwrap();
    assert!(candidates("openai", &ProfileSource::default(), &file, &env).is_empty());
    let found = candidates("anthropic", &ProfileSource::default(), &file, &|_| None);
    assert_eq!(ids(&found), ["anthropic:default"]);
}

#[test]
fn keyless_profile_stands_in_only_without_a_key() {
    let file = ProfileFile::default();
    let keyless = ProfileSource { keyless: true, ..ProfileSource::default() };
    let found = candidates("demo", &keyless, &file, &env);
    assert_eq!(ids(&found), ["demo:keyless"]);
    assert!(found[0].secret.is_none());
    let keyed = ProfileSource { configured_key: Some(Secret::new("k")), ..keyless };
    assert_eq!(ids(&candidates("demo", &keyed, &file, &env)), ["demo:config"]);
    assert!(candidates("none", &ProfileSource::default(), &file, &env).is_empty());
}

#[test]
fn usable_profiles_rotate_and_blocked_ones_come_last_by_expiry() {
    let ready = |origin, last_used| Standing { origin, state: ProfileState::Ready, last_used };
    let blocked = |until| Standing {
        origin: Origin::Configured,
        state: ProfileState::CoolingDown { until, reason: ErrorClass::RateLimit },
        last_used: None,
    };
    let standings = [
        blocked(50),
        ready(Origin::Env, None),
        ready(Origin::Stored, Some(9)),
        blocked(20),
        ready(Origin::Stored, Some(3)),
        ready(Origin::Stored, None),
    ];
    assert_eq!(order(&standings), [5, 4, 2, 1, 3, 0]);
}

#[test]
fn debug_shows_no_key() {
    let file = ProfileFile::parse(FILE).unwrap();
    let shown = format!("{file:?} {:?}", candidates("anthropic", &anthropic(), &file, &env));
    assert!(!shown.contains("sk-"), "{shown}");
}

#[test]
fn malformed_files_and_ids_are_refused() {
    for text in ["", "3", r#"{"profiles":7}"#] {
        assert!(ProfileFile::parse(text).is_err(), "{text:?}");
    }
    for id in ["", "anthropic", ":x", "x:", "a:b\n"] {
        assert!(ProfileId::parse(id).is_err(), "{id:?}");
    }
}
