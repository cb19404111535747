//! The examples do what they say, and end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails at the spot")]

#[path = "../examples/reconnecting_client.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod reconnecting_client;
#[path = "../examples/supervised_counter.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod supervised_counter;

/// Where each of the wanted lines is found, one after the other.
#[track_caller]
fn assert_in_order(out: &[u8], wanted: &[&str]) {
    let text = String::from_utf8(out.to_vec()).unwrap();
    let mut rest = text.lines();
    for line in wanted {
        assert!(rest.any(|seen| seen.starts_with(line)), "`{line}` is not there in its turn:\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_counter_counts_on_after_its_crash() {
    let mut out = Vec::new();
    supervised_counter::run(&mut out).await.unwrap();
    let wanted = ["counted to 3", "after the crash it counted on to 4", "root/counter running incarnation 2"];
    assert_in_order(&out, &wanted);
    assert_in_order(&out, &["stopped, 0 stragglers"]);
}

#[tokio::test(start_paused = true)]
async fn the_client_backs_off_gives_up_and_comes_back() {
    let mut out = Vec::new();
    reconnecting_client::run(&mut out).await.unwrap();
    let down = ["-- the server is down", "backing_off (start 1, retry 1)", "backing_off (start 2, retry 2)"];
    assert_in_order(&out, &down);
    let up = ["failed (start 4, retry 3)", "-- the server is up", "backing_off", "running (start 7, retry 2)"];
    assert_in_order(&out, &up);
    assert_in_order(&out, &["-- stopped, 0 stragglers"]);
}
