//! Every recording is played against the pocket gateway.

use super::pocket::Pocket;
use super::{Report, all_agree, play};

async fn play_to_pocket(wanted: impl Fn(&str) -> bool, only: Option<&str>) -> Vec<Report> {
    let pocket = Pocket::open("the-token").await;
    let url = pocket.url();
    tokio::select! {
        () = pocket.serve() => Vec::new(),
        reports = play(&url, "the-token", wanted, only) => reports,
    }
}

fn is_welcome(name: &str) -> bool {
    name.starts_with('a') && !name.starts_with("a4")
}

#[tokio::test]
async fn refusals_and_errors_are_those_recorded() {
    all_agree(&play_to_pocket(|name| !is_welcome(name), None).await, 18);
}

#[tokio::test]
async fn those_let_in_get_the_recorded_role_scopes_method_and_token() {
    all_agree(&play_to_pocket(is_welcome, Some("res:c1/payload/auth/**")).await, 6);
}
