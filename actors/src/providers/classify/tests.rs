use proptest::prelude::*;

use super::*;

fn class(status: u16, code: Option<&str>, text: &str) -> ErrorClass {
    classify(&Evidence { status: Some(status), code, text })
}

#[test]
fn statuses_alone_decide_when_there_are_no_words() {
    for (status, expected) in [
        (400, ErrorClass::Format),
        (401, ErrorClass::Auth),
        (402, ErrorClass::Billing),
        (403, ErrorClass::Auth),
        (404, ErrorClass::ModelNotFound),
        (408, ErrorClass::Timeout),
        (413, ErrorClass::ContextOverflow),
        (422, ErrorClass::Format),
        (429, ErrorClass::RateLimit),
        (499, ErrorClass::Timeout),
        (500, ErrorClass::ServerError),
        (502, ErrorClass::ServerError),
        (504, ErrorClass::Timeout),
        (522, ErrorClass::Timeout),
        (524, ErrorClass::Timeout),
        (529, ErrorClass::Overloaded),
    ] {
        assert_eq!(class(status, None, ""), expected, "{status}");
    }
}

#[test]
fn words_are_weighed_in_their_order() {
    for (status, text, expected) in [
        (400, "prompt is too long: 210000 tokens > 200000 maximum", ErrorClass::ContextOverflow),
        (400, "This model's maximum context length is 8192 tokens", ErrorClass::ContextOverflow),
        (400, "messages.3: `tool_use` ids were found without `tool_result` blocks: tool_use ids", ErrorClass::Format),
        (400, "Your credit balance is too low to access the API", ErrorClass::Billing),
        (429, "You exceeded your current quota, please check your plan and billing details", ErrorClass::Billing),
        (429, "Quota exceeded for metric requests", ErrorClass::RateLimit),
        (429, "Number of request tokens per minute exceeded", ErrorClass::RateLimit),
        (402, "Payment required", ErrorClass::Billing),
        (402, "weekly limit reached, try again on Monday", ErrorClass::RateLimit),
        (403, "Your account has insufficient credits", ErrorClass::Billing),
        (401, "This API key has been revoked", ErrorClass::AuthPermanent),
        (403, "your organization has been disabled", ErrorClass::AuthPermanent),
        (503, "The engine is currently overloaded", ErrorClass::Overloaded),
        (500, "the model is experiencing high demand", ErrorClass::Overloaded),
        (400, "unknown model: gpt-9", ErrorClass::ModelNotFound),
        (404, "model 'x' not found, try pulling it first", ErrorClass::ModelNotFound),
        (400, "the request timed out", ErrorClass::Format),
        (504, "upstream timed out", ErrorClass::Timeout),
    ] {
        assert_eq!(class(status, None, text), expected, "{text}");
    }
}

#[test]
fn an_explicit_code_outranks_the_status() {
    assert_eq!(class(429, Some("insufficient_quota"), ""), ErrorClass::Billing);
    assert_eq!(class(400, Some("context_length_exceeded"), "too long"), ErrorClass::ContextOverflow);
    assert_eq!(class(400, Some("overloaded_error"), "Overloaded"), ErrorClass::Overloaded);
    assert_eq!(class(403, Some("permission_error"), "credit balance too low"), ErrorClass::Billing);
    assert_eq!(class(400, Some("invalid_request_error"), "prompt is too long"), ErrorClass::ContextOverflow);
    assert_eq!(class(400, Some("invalid_request_error"), "max_tokens: required"), ErrorClass::Format);
    assert_eq!(class(429, Some("rate_limit_error"), "credit balance is too low"), ErrorClass::Billing);
}

#[test]
fn a_page_of_html_counts_by_its_status_only() {
    let page = "<!DOCTYPE html><html><body>rate limit? Unauthorized</body></html>";
    assert_eq!(class(502, None, page), ErrorClass::ServerError);
    let error = error_of(&Evidence { status: Some(418), code: None, text: page }, None, None);
    assert!(!error.message.contains("html"), "{}", error.message);
}

#[test]
fn without_status_words_decide_and_silence_is_named() {
    let class = |text| classify(&Evidence { status: None, code: None, text });
    assert_eq!(class("socket hang up"), ErrorClass::Timeout);
    assert_eq!(class("internal server error"), ErrorClass::ServerError);
    assert_eq!(class("bananas"), ErrorClass::Unclassified);
    assert_eq!(class(" "), ErrorClass::NoErrorDetails);
}

#[test]
fn a_persons_text_names_what_was_wrong_with_the_request() {
    let evidence = Evidence { status: Some(400), code: None, text: "messages.0: unexpected\nfield `foo`" };
    let error = error_of(&evidence, None, None);
    assert_eq!(
        error.message,
        "the provider refused the request as malformed (HTTP 400): messages.0: unexpected field `foo`"
    );
}

#[test]
fn keys_never_show() {
    for text in [
        "Incorrect API key provided: sk-proj-abcdefgh. You can find your key at https://example",
        "bad key s3cret-value in request",
        "unexpected header Bearer 0123456789abcdef0123456789abcdef",
        "got {\"x-api-key\":\"s3cret-value\"}",
    ] {
        for status in [400, 404, 418] {
            let evidence = Evidence { status: Some(status), code: None, text };
            let message = error_of(&evidence, None, Some(&Secret::new("s3cret-value"))).message;
            for leak in ["sk-proj", "s3cret", "0123456789abcdef"] {
                assert!(!message.contains(leak), "{message}");
            }
        }
    }
}

proptest! {
    #[test]
    fn the_credential_is_never_in_the_message(
        before in ".{0,80}",
        key in "[A-Za-z0-9_-]{8,60}",
        after in ".{0,80}",
        status in 300_u16..600,
    ) {
        let text = format!("{before}{key}{after}");
        let evidence = Evidence { status: Some(status), code: None, text: &text };
        let message = error_of(&evidence, None, Some(&Secret::new(key.clone()))).message;
        prop_assume!(!before.contains(&key) && !after.contains(&key));
        for class in [ErrorClass::Format, ErrorClass::ModelNotFound, ErrorClass::Unclassified] {
            prop_assume!(!words_for(class).contains(&key));
        }
        prop_assert!(!message.contains(&key), "{}", message);
        prop_assert!(message.chars().count() < 300);
    }
}
