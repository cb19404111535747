use proptest::prelude::*;

use super::*;

fn model(text: &str) -> ModelRef {
    ModelRef::parse(text).unwrap()
}

fn run(models: &[&str]) -> Failover {
    let mut models = models.iter().map(|text| model(text));
    Failover::new(candidates(models.next().unwrap(), models)).unwrap()
}

fn failed(class: ErrorClass) -> Failure {
    Failure::Failed(ModelError::new(class, "x"))
}

#[test]
fn candidates_are_the_primary_and_each_fallback_once() {
    let all = candidates(model("a/x"), ["b/y", "a/x", "b/y", "c/z"].map(model));
    assert_eq!(all.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a/x", "b/y", "c/z"]);
}

#[test]
fn an_abort_is_never_retried() {
    let mut run = run(&["a/x", "b/y"]);
    assert_eq!(run.after(&Failure::Aborted, true, 0.5), Next::Stop);
    assert_eq!(run.model(), &model("a/x"));
}

#[test]
fn rate_limit_rotates_once_then_goes_to_the_next_model() {
    for class in [ErrorClass::RateLimit, ErrorClass::Overloaded] {
        let mut run = run(&["a/x", "b/y"]);
        assert_eq!(run.after(&failed(class), true, 0.5), Next::NextProfile);
        assert_eq!(run.after(&failed(class), true, 0.5), Next::Model(model("b/y")));
    }
}

#[test]
fn passing_trouble_is_retried_with_growing_waits_before_the_next_model() {
    let mut run = run(&["a/x", "b/y"]);
    let mut waits = Vec::new();
    let mut next = run.after(&failed(ErrorClass::ServerError), false, 1.0);
    while let Next::Retry { after } = next {
        waits.push(after.as_secs());
        next = run.after(&failed(ErrorClass::ServerError), false, 1.0);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 30]);
    assert_eq!(next, Next::Model(model("b/y")));
}

#[test]
fn the_last_model_is_retried_on_rate_limits_and_honours_the_provider() {
    let mut run = run(&["a/x"]);
    let asked = |secs| {
        let retry_after = Some(Duration::from_secs(secs));
        Failure::Failed(ModelError { retry_after, ..ModelError::new(ErrorClass::RateLimit, "x") })
    };
    assert_eq!(run.after(&asked(20), false, 0.0), Next::Retry { after: Duration::from_secs(20) });
    assert_eq!(run.after(&asked(600), false, 0.0), Next::GiveUp);
    for _ in 0..9 {
        assert!(matches!(run.after(&asked(1), false, 0.0), Next::Retry { .. }));
    }
    assert_eq!(run.after(&asked(1), false, 0.0), Next::GiveUp);
}

#[test]
fn refused_keys_go_to_the_next_credential_then_the_next_model() {
    let mut run = run(&["a/x", "a/y", "b/z"]);
    assert_eq!(run.after(&failed(ErrorClass::Auth), true, 0.5), Next::NextProfile);
    assert_eq!(run.after(&failed(ErrorClass::Auth), false, 0.5), Next::Model(model("a/y")));
    assert_eq!(run.after(&failed(ErrorClass::AuthPermanent), false, 0.5), Next::Model(model("b/z")));
}

#[test]
fn a_revoked_key_skips_the_whole_provider() {
    let mut run = run(&["a/x", "a/y", "b/z"]);
    assert_eq!(run.after(&failed(ErrorClass::AuthPermanent), false, 0.5), Next::Model(model("b/z")));
}

#[test]
fn what_another_model_cannot_mend_is_surfaced() {
    for class in [ErrorClass::Format, ErrorClass::TlsCertificate] {
        assert_eq!(run(&["a/x", "b/y"]).after(&failed(class), true, 0.5), Next::GiveUp);
    }
    let mut run = run(&["a/x", "b/y"]);
    assert_eq!(run.after(&failed(ErrorClass::ContextOverflow), true, 0.5), Next::Compact);
    assert_eq!(run.after(&failed(ErrorClass::SessionExpired), true, 0.5), Next::Rebuild);
    assert_eq!(run.after(&failed(ErrorClass::SessionExpired), true, 0.5), Next::GiveUp);
}

#[test]
fn a_cooling_provider_is_waited_for_only_when_it_is_the_last() {
    let second = Duration::from_secs(1);
    assert_eq!(run(&["a/x", "b/y"]).after(&Failure::CoolingDown(second), false, 0.5), Next::Model(model("b/y")));
    assert_eq!(run(&["a/x"]).after(&Failure::CoolingDown(second), false, 0.5), Next::Retry { after: second });
    assert_eq!(run(&["a/x"]).after(&Failure::CoolingDown(600 * second), false, 0.5), Next::GiveUp);
    assert_eq!(run(&["a/x"]).after(&Failure::NoCredential, false, 0.5), Next::GiveUp);
}

#[test]
fn the_failed_calls_of_a_run_are_bounded_by_its_credentials() {
    for (credentials, most) in [(0, 32), (1, 32), (5, 64), (1000, 160)] {
        let mut run = run(&["a/x"]);
        run.bound_by(credentials);
        let mut calls = 0;
        loop {
            calls += 1;
            run.succeeded();
            if run.after(&failed(ErrorClass::RateLimit), false, 0.0) == Next::GiveUp {
                break;
            }
        }
        assert_eq!(calls, most, "{credentials} credentials");
    }
}

#[test]
fn a_server_that_hangs_is_tried_again_once_and_not_many_times() {
    let mut run = run(&["a/x"]);
    let hang = Duration::from_secs(120);
    run.took(hang);
    assert!(
        matches!(run.after(&failed(ErrorClass::Timeout), false, 0.5), Next::Retry { .. }),
        "the first time is free"
    );
    run.took(hang);
    assert_eq!(run.after(&failed(ErrorClass::Timeout), false, 0.5), Next::GiveUp);
    run.succeeded();
    assert!(matches!(run.after(&failed(ErrorClass::Timeout), false, 0.5), Next::Retry { .. }));
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        Just(failed(ErrorClass::RateLimit)),
        Just(failed(ErrorClass::Overloaded)),
        Just(failed(ErrorClass::Timeout)),
        Just(failed(ErrorClass::Auth)),
        Just(failed(ErrorClass::AuthPermanent)),
        Just(failed(ErrorClass::Unclassified)),
        Just(Failure::CoolingDown(Duration::from_secs(2))),
        Just(Failure::NoCredential),
    ]
}

proptest! {
    #[test]
    fn a_run_without_success_always_ends(
        failures in prop::collection::vec((failure(), any::<bool>(), 0.0..1.0), 200..201),
        models in 1_usize..5,
    ) {
        let names: Vec<String> = (0..models).map(|n| format!("p{}/m{n}", n % 3)).collect();
        let mut run = run(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let end = failures.iter().position(|(failure, other, random)| {
            matches!(run.after(failure, *other, *random), Next::GiveUp)
        });
        prop_assert!(end.is_some());
    }
}
