//! What kind of failure an answer is, from its code, its status and its words.
//!
//! Evidence is weighed in this order: an explicit code, then the words in the order of `WORDS`, then the status.
//! The words outrank the status because vendors disagree on statuses (an overlong prompt is 400, 413 or 422). What a
//! person is told is written here; a vendor's own words reach them only for failures that nobody could fix without,
//! cut short and with everything removed that could be a key.

use std::time::Duration;

use super::contract::{ErrorClass, ModelError};
use crate::secret::Secret;

/// What is known of a failed call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Evidence<'a> {
    /// HTTP status.
    pub status: Option<u16>,
    /// The vendor's error code or type.
    pub code: Option<&'a str>,
    /// The vendor's words, or the whole body.
    pub text: &'a str,
}

/// Words and the class they speak for, in the order they are looked for. Lower case.
const WORDS: &[(ErrorClass, &[&str])] = &[
    (
        ErrorClass::SessionExpired,
        &[
            "session expired",
            "session not found",
            "conversation expired",
            "conversation not found",
            "previous_response_not_found",
        ],
    ),
    (
        ErrorClass::ModelNotFound,
        &[
            "model_not_found",
            "model not found",
            "unknown model",
            "no such model",
            "model does not exist",
            "not a valid model",
            "model is deprecated",
            "has been deprecated",
            "model is not available",
            "is not found for api version",
            "no endpoints found",
            "try pulling it",
        ],
    ),
    (
        ErrorClass::ContextOverflow,
        &[
            "prompt is too long",
            "context length",
            "context_length_exceeded",
            "context window",
            "maximum context",
            "input token count",
            "too many input tokens",
            "request_too_large",
            "exceeds the maximum number of tokens",
            "input is too long",
            "exceed context",
        ],
    ),
    (
        ErrorClass::Format,
        &[
            "tool_use_id",
            "tool_use ids",
            "tool_call_id",
            "tool_calls must be followed",
            "roles must alternate",
            "unexpected role",
            "must be followed by tool messages",
        ],
    ),
];

/// The words after the rules of billing and periodic limits.
const LATER_WORDS: &[(ErrorClass, &[&str])] = &[
    (
        ErrorClass::RateLimit,
        &[
            "rate limit",
            "rate_limit",
            "too many requests",
            "throttl",
            "resource exhausted",
            "resource_exhausted",
            "resource has been exhausted",
            "quota exceeded",
            "exceeded your current quota",
            "tokens per minute",
            "tokens per day",
            "requests per minute",
            "requests per day",
        ],
    ),
    (
        ErrorClass::Overloaded,
        &["overloaded", "at capacity", "high demand", "service unavailable", "over capacity", "capacity exceeded"],
    ),
    (
        ErrorClass::ServerError,
        &["internal server error", "internal error", "bad gateway", "api_error", "server_error", "upstream error"],
    ),
    (
        ErrorClass::AuthPermanent,
        &[
            "key has been revoked",
            "key was revoked",
            "key has been disabled",
            "account has been deactivated",
            "account_deactivated",
            "account deactivated",
            "workspace has been deactivated",
            "organization has been disabled",
            "refresh token is invalid",
        ],
    ),
    (
        ErrorClass::Auth,
        &[
            "invalid api key",
            "invalid x-api-key",
            "incorrect api key",
            "invalid_api_key",
            "api key not valid",
            "unauthorized",
            "authentication",
            "forbidden",
            "token expired",
            "token has expired",
            "no api key",
            "no auth credentials",
        ],
    ),
    (
        ErrorClass::Timeout,
        &[
            "econnreset",
            "econnrefused",
            "econnaborted",
            "etimedout",
            "socket hang up",
            "fetch failed",
            "stream closed",
            "deadline exceeded",
            "timed out",
            "timeout",
        ],
    ),
    (ErrorClass::Format, &["invalid_request", "invalid request", "bad request", "validation error"]),
];

const BILLING: &[&str] = &[
    "insufficient credit",
    "insufficient_credit",
    "insufficient quota",
    "insufficient_quota",
    "insufficient balance",
    "insufficient funds",
    "credit balance",
    "payment required",
    "spend limit",
    "spending limit",
    "out of credits",
    "billing",
    "exceeded your current quota, please check your plan",
];

const PERIODIC: &[&str] = &[
    "usage limit",
    "weekly limit",
    "monthly limit",
    "daily limit",
    "hourly limit",
    "limit will reset",
    "limit resets",
];

/// Words that make a 402 a passing one.
const RETRYABLE_402: &[&str] = &["try again", "retry", "per minute", "per day", "too many requests", "rate limit"];

fn any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

/// The class of a failure.
#[must_use]
pub fn classify(evidence: &Evidence<'_>) -> ErrorClass {
    let html = is_html(evidence.text);
    let text = if html { String::new() } else { evidence.text.to_lowercase() };
    if let Some(class) = evidence.code.and_then(|code| by_code(code, &text)) {
        return class;
    }
    if let Some(class) = by_words(&text, evidence.status) {
        return class;
    }
    match evidence.status {
        Some(status) => by_status(status),
        None if text.trim().is_empty() && !html => ErrorClass::NoErrorDetails,
        None => ErrorClass::Unclassified,
    }
}

fn is_html(text: &str) -> bool {
    let start = text.trim_start().as_bytes();
    let begins = |tag: &[u8]| start.len() >= tag.len() && start[..tag.len()].eq_ignore_ascii_case(tag);
    begins(b"<!doctype") || begins(b"<html")
}

/// Codes that decide by themselves. Broad ones (`invalid_request_error`) are left to the words.
fn by_code(code: &str, text: &str) -> Option<ErrorClass> {
    Some(match code.to_ascii_lowercase().as_str() {
        "insufficient_quota" | "billing_error" | "billing_hard_limit_reached" | "insufficient_credits" => {
            ErrorClass::Billing
        }
        "rate_limit_exceeded" | "rate_limit_error" | "resource_exhausted" | "tokens" | "requests" => {
            if any(text, BILLING) && !any(text, PERIODIC) { ErrorClass::Billing } else { ErrorClass::RateLimit }
        }
        "overloaded_error" | "overloaded" | "unavailable" => ErrorClass::Overloaded,
        "context_length_exceeded" | "request_too_large" | "string_above_max_length" => ErrorClass::ContextOverflow,
        "model_not_found" | "model_not_available" => ErrorClass::ModelNotFound,
        "account_deactivated" | "organization_deactivated" | "api_key_revoked" | "access_terminated" => {
            ErrorClass::AuthPermanent
        }
        "previous_response_not_found" => ErrorClass::SessionExpired,
        "timeout_error" | "deadline_exceeded" => ErrorClass::Timeout,
        "api_error" | "server_error" | "internal_server_error" => {
            return by_words(text, None).or(Some(ErrorClass::ServerError));
        }
        "invalid_api_key" | "authentication_error" | "permission_error" | "permission_denied" => {
            return by_words(text, None)
                .filter(|class| matches!(class, ErrorClass::Billing | ErrorClass::AuthPermanent))
                .or(Some(ErrorClass::Auth));
        }
        _ => return None,
    })
}

fn by_words(text: &str, status: Option<u16>) -> Option<ErrorClass> {
    if text.is_empty() {
        return None;
    }
    let first =
        |table: &[(ErrorClass, &[&str])]| table.iter().find(|(_, words)| any(text, words)).map(|(class, _)| *class);
    if let Some(class) = first(WORDS) {
        return Some(class);
    }
    let periodic = any(text, PERIODIC);
    if status == Some(402) {
        let passing = periodic || any(text, RETRYABLE_402);
        return Some(if passing { ErrorClass::RateLimit } else { ErrorClass::Billing });
    }
    if any(text, BILLING) && !periodic {
        return Some(ErrorClass::Billing);
    }
    if periodic {
        return Some(ErrorClass::RateLimit);
    }
    let class = first(LATER_WORDS)?;
    // A status that says whose fault it is outranks the vaguest words.
    match (class, status) {
        (ErrorClass::Format | ErrorClass::Timeout | ErrorClass::ServerError, Some(status)) => Some(by_status(status)),
        _ => Some(class),
    }
}

fn by_status(status: u16) -> ErrorClass {
    match status {
        401 | 403 => ErrorClass::Auth,
        402 => ErrorClass::Billing,
        404 | 410 => ErrorClass::ModelNotFound,
        408 | 499 | 504 | 522 | 524 => ErrorClass::Timeout,
        413 => ErrorClass::ContextOverflow,
        429 => ErrorClass::RateLimit,
        503 | 529 => ErrorClass::Overloaded,
        500..=599 => ErrorClass::ServerError,
        400..=499 => ErrorClass::Format,
        _ => ErrorClass::Unclassified,
    }
}

/// The error an answer with a failure status, or an error event inside a stream, becomes.
#[must_use]
pub fn error_of(evidence: &Evidence<'_>, retry_after: Option<Duration>, credential: Option<&Secret>) -> ModelError {
    let class = classify(evidence);
    let mut message = words_for(class).to_owned();
    if let Some(status) = evidence.status {
        message.push_str(&format!(" (HTTP {status})"));
    }
    if matches!(class, ErrorClass::Format | ErrorClass::ModelNotFound | ErrorClass::Unclassified) {
        let excerpt = excerpt(evidence.text, credential);
        if !excerpt.is_empty() {
            message.push_str(": ");
            message.push_str(&excerpt);
        }
    }
    ModelError { class, status: evidence.status, message, retry_after }
}

/// What a person is told of a class.
#[must_use]
pub fn words_for(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::RateLimit => "the provider's rate limit is reached",
        ErrorClass::Overloaded => "the provider is overloaded",
        ErrorClass::Billing => "the provider reports a billing problem: no credit left or a spending limit reached",
        ErrorClass::Auth => "the provider refused the API key",
        ErrorClass::AuthPermanent => "the API key was revoked or its account deactivated",
        ErrorClass::Timeout => "the provider did not answer in time",
        ErrorClass::ServerError => "the provider failed",
        ErrorClass::TlsCertificate => "the provider's certificate could not be verified",
        ErrorClass::Format => "the provider refused the request as malformed",
        ErrorClass::ContextOverflow => "the conversation is too large for the model",
        ErrorClass::ModelNotFound => "the provider does not have this model",
        ErrorClass::SessionExpired => "the provider forgot the conversation",
        ErrorClass::EmptyResponse => "the provider gave an empty answer",
        ErrorClass::NoErrorDetails => "the provider failed without saying why",
        ErrorClass::Unclassified | ErrorClass::Unknown => "the model call failed",
    }
}

/// Longest excerpt of a vendor's words, in characters.
const MAX_EXCERPT: usize = 160;
/// A word this long without a space may be a key.
const LONG_WORD: usize = 24;

/// The vendor's words, one line, cut short, without anything that looks like a credential.
fn excerpt(text: &str, credential: Option<&Secret>) -> String {
    if is_html(text) {
        return String::new();
    }
    let text = match credential.filter(|secret| !secret.is_empty()) {
        Some(secret) => text.replace(secret.expose(), "…"),
        None => text.to_owned(),
    };
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(if looks_secret(word) { "…" } else { word });
    }
    match out.char_indices().nth(MAX_EXCERPT) {
        Some((cut, _)) => format!("{}…", &out[..cut]),
        None => out,
    }
}

fn looks_secret(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let bare = lower.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let key_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*' | '.' | '+' | '/' | '=');
    let digits = bare.bytes().any(|byte| byte.is_ascii_digit());
    let longest = bare.split(|c| !key_char(c)).map(str::len).max().unwrap_or(0);
    ["sk-", "key-", "xai-", "gsk_", "aiza"].iter().any(|prefix| lower.contains(prefix))
        || (longest >= LONG_WORD && digits)
        || longest >= 2 * LONG_WORD
        || bare.contains("**")
}

#[cfg(test)]
mod tests;
