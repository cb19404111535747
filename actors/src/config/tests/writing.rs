use super::*;
use crate::config::redact::SENTINEL;

fn names(place: &Place) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(place.0.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_write_replaces_the_file_and_keeps_the_old_one() {
    let place = Place::with("{ gateway: { port: 1 } }");
    let base = place.load().hash;
    let written = write(&place.sources(), "{ gateway: { port: 2 } } // mine", Some(&base), 0).unwrap();
    assert_eq!(written.config.gateway.port, 2);
    let loaded = place.load();
    assert_eq!(
        (loaded.hash.as_str(), loaded.raw.as_str()),
        (written.hash.as_str(), "{ gateway: { port: 2 } } // mine")
    );
    assert_eq!(fs::read_to_string(place.path("openclaw.json.bak")).unwrap(), "{ gateway: { port: 1 } }");
    assert_eq!(names(&place), ["openclaw.json", "openclaw.json.bak"]);
    assert_eq!(loaded.warnings, [""; 0]);
}

#[test]
fn backups_form_a_ring() {
    let place = Place::with("{ gateway: { port: 1 } }");
    for port in 2..10 {
        let base = place.load().hash;
        write(&place.sources(), &format!("{{ gateway: {{ port: {port} }} }}"), Some(&base), 0).unwrap();
    }
    assert_eq!(names(&place).len(), 6);
    assert!(fs::read_to_string(place.path("openclaw.json.bak")).unwrap().contains("port: 8"));
    assert!(fs::read_to_string(place.path("openclaw.json.bak.4")).unwrap().contains("port: 4"));
}

#[test]
fn a_stale_base_is_refused() {
    let place = Place::with("{ gateway: { port: 1 } }");
    for base in [None, Some("0000"), Some("")] {
        assert!(matches!(write(&place.sources(), "{}", base, 0), Err(WriteError::Stale)));
    }
    assert_eq!(names(&place), ["openclaw.json"]);
    assert_eq!(place.load().config.gateway.port, 1);
}

#[test]
fn the_first_file_needs_no_base() {
    let place = Place::new();
    let hash = place.load().hash;
    write(&place.sources(), "{}", Some(&hash), 0).unwrap();
    assert!(place.load().exists);
    let place = Place::new();
    let mut sources = place.sources();
    sources.config_path = place.path("new/folder/openclaw.json");
    write(&sources, "{}", None, 0).unwrap();
    assert!(load(&sources).unwrap().exists);
}

#[test]
fn what_is_invalid_is_not_written() {
    let place = Place::with("{ gateway: { port: 1 } }");
    let base = place.load().hash;
    for text in ["", "{", "{ gatway: 1 }", "{ gateway: { port: 0 } }"] {
        assert!(matches!(write(&place.sources(), text, Some(&base), 0), Err(WriteError::Invalid(_))), "{text}");
    }
    assert_eq!(names(&place), ["openclaw.json"]);
}

#[test]
fn hidden_secrets_are_put_back() {
    let place = Place::with("{ gateway: { auth: { token: 'real' } } }");
    let base = place.load().hash;
    let text = format!("{{ gateway: {{ port: 4, auth: {{ token: '{SENTINEL}' }} }} }}");
    write(&place.sources(), &text, Some(&base), 0).unwrap();
    assert!(place.load().config.gateway.auth.token.as_ref().unwrap().matches("real"));
    let base = place.load().hash;
    let text = format!("{{ gateway: {{ auth: {{ password: '{SENTINEL}' }} }} }}");
    assert!(matches!(write(&place.sources(), &text, Some(&base), 0), Err(WriteError::Restore(_))));
}

#[test]
fn a_write_that_loses_much_is_kept_aside() {
    let long = format!("{{ gateway: {{ mode: 'local' }} }} // {}", "x".repeat(1000));
    for (text, what) in
        [("{ gateway: { mode: 'local' } }", "half"), (&long.replace("mode: 'local'", ""), "gateway.mode")]
    {
        let place = Place::with(&long);
        let base = place.load().hash;
        let error = write(&place.sources(), text, Some(&base), 42).unwrap_err();
        assert!(matches!(&error, WriteError::Clobber { .. }) && error.to_string().contains(what), "{error}");
        assert_eq!(fs::read_to_string(place.path("openclaw.json.rejected.42")).unwrap(), text);
        assert_eq!(place.load().raw, long);
    }
}

#[cfg(unix)]
#[test]
fn files_are_private_and_links_stay_links() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.write("real.json", "{}");
    fs::set_permissions(place.path("real.json"), fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink(place.path("real.json"), place.path("openclaw.json")).unwrap();
    let base = place.load().hash;
    write(&place.sources(), "{ gateway: { port: 3 } }", Some(&base), 0).unwrap();
    assert!(fs::symlink_metadata(place.path("openclaw.json")).unwrap().is_symlink());
    for name in ["real.json", "real.json.bak"] {
        assert_eq!(fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_good_configuration_is_kept_unless_it_holds_placeholders() {
    let place = Place::with("{ gateway: { port: 3 } }");
    let kept = place.path("openclawd/openclaw.json.last-good");
    write::keep_last_good(&place.load(), place.0.path()).unwrap();
    assert_eq!(fs::read_to_string(&kept).unwrap(), "{ gateway: { port: 3 } }");
    place.write("openclaw.json", "{ gateway: { port: 4 } } // ***");
    write::keep_last_good(&place.load(), place.0.path()).unwrap();
    assert_eq!(fs::read_to_string(&kept).unwrap(), "{ gateway: { port: 3 } }");
}
