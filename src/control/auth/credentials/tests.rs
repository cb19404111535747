use super::*;

fn config(mode: AuthMode, token: &str, password: &str) -> AuthConfig {
    let secret = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Secret::new);
    AuthConfig { mode, token: secret(token), password: secret(password), ..AuthConfig::default() }
}

fn facts(host: &str) -> UpgradeFacts {
    UpgradeFacts::from_headers("127.0.0.1".parse().unwrap(), [("host", host)])
}

fn sent(token: &str, password: &str) -> ConnectAuth {
    let text = |text: &str| Some(text.to_owned());
    ConnectAuth { token: text(token), password: text(password), ..ConnectAuth::default() }
}

#[test]
fn the_mode_is_password_only_when_there_is_one() {
    assert_eq!(AuthMode::effective(None, true), AuthMode::Password);
    assert_eq!(AuthMode::effective(None, false), AuthMode::Token);
    assert_eq!(AuthMode::effective(Some(AuthMode::Token), true), AuthMode::Token);
}

#[test]
fn either_field_may_carry_the_secret() {
    use AuthFault::*;
    use AuthMode as Mode;
    for (mode, token, password, expected) in [
        (Mode::Token, "t", "", Ok(AuthMethod::Token)),
        (Mode::Token, "", "t", Ok(AuthMethod::Token)),
        (Mode::Token, "x", "t", Err(TokenMismatch)),
        (Mode::Token, "t", "x", Ok(AuthMethod::Token)),
        (Mode::Token, "", "", Err(TokenMissing)),
        (Mode::Token, "p", "", Err(TokenMismatch)),
        (Mode::Password, "", "p", Ok(AuthMethod::Password)),
        (Mode::Password, "p", "", Ok(AuthMethod::Password)),
        (Mode::Password, "p", "x", Err(PasswordMismatch)),
        (Mode::Password, "", "", Err(PasswordMissing)),
        (Mode::None, "", "", Ok(AuthMethod::None)),
        (Mode::TrustedProxy, "", "", Err(ProxyIdentityMissing)),
        (Mode::TrustedProxy, "", "p", Ok(AuthMethod::Password)),
        (Mode::TrustedProxy, "t", "", Err(ProxyIdentityMissing)),
    ] {
        let got = check_shared(&facts("localhost:1"), &sent(token, password), &config(mode, "t", "p"));
        assert_eq!(got, expected, "{mode:?} {token:?} {password:?}");
    }
}

#[test]
fn an_unconfigured_secret_admits_nobody() {
    let at = facts("localhost:1");
    for (mode, expected) in
        [(AuthMode::Token, AuthFault::TokenMissingConfig), (AuthMode::Password, AuthFault::PasswordMissingConfig)]
    {
        assert_eq!(check_shared(&at, &sent("", ""), &config(mode, "", "")), Err(expected));
        let empty =
            AuthConfig { token: Some(Secret::new("")), password: Some(Secret::new("")), ..config(mode, "", "") };
        assert_eq!(check_shared(&at, &sent("", ""), &empty), Err(expected));
    }
}

#[test]
fn a_proxy_user_is_enough_and_a_forwarded_password_is_not() {
    let config = config(AuthMode::TrustedProxy, "", "p");
    let mut proxied = facts("gateway.example");
    proxied.is_forwarded = true;
    assert_eq!(check_shared(&proxied, &sent("", "p"), &config), Err(AuthFault::ProxyIdentityMissing));
    proxied.proxy_user = Some("ada".into());
    assert_eq!(check_shared(&proxied, &sent("", ""), &config), Ok(AuthMethod::TrustedProxy));
}

#[test]
fn every_fault_has_its_code_and_next_step() {
    use AuthFault::*;
    let wait = Duration::from_secs(7);
    let table = [
        (TokenMissing, "token_missing", "AUTH_TOKEN_MISSING", "update_auth_configuration"),
        (TokenMismatch, "token_mismatch", "AUTH_TOKEN_MISMATCH", "update_auth_credentials"),
        (TokenMissingConfig, "token_missing_config", "AUTH_TOKEN_NOT_CONFIGURED", "update_auth_configuration"),
        (PasswordMissing, "password_missing", "AUTH_PASSWORD_MISSING", "update_auth_configuration"),
        (PasswordMismatch, "password_mismatch", "AUTH_PASSWORD_MISMATCH", "update_auth_credentials"),
        (PasswordMissingConfig, "password_missing_config", "AUTH_PASSWORD_NOT_CONFIGURED", "update_auth_configuration"),
        (BootstrapTokenInvalid, "bootstrap_token_invalid", "AUTH_BOOTSTRAP_TOKEN_INVALID", "review_auth_configuration"),
        (DeviceTokenMismatch, "device_token_mismatch", "AUTH_DEVICE_TOKEN_MISMATCH", "update_auth_credentials"),
        (ScopeMismatch, "scope_mismatch", "AUTH_SCOPE_MISMATCH", "review_auth_configuration"),
        (RateLimited(wait), "rate_limited", "AUTH_RATE_LIMITED", "wait_then_retry"),
    ];
    for (fault, reason, code, step) in table {
        let error = fault.error(&ConnectParams::default());
        let details = error.details.unwrap();
        assert_eq!(details["authReason"], reason);
        assert_eq!(details["code"], code);
        assert_eq!(details["recommendedNextStep"], step);
        assert_eq!(details["canRetryWithDeviceToken"], false);
        assert_eq!(error.retry_after_ms, (fault == RateLimited(wait)).then_some(7_000));
    }
}
