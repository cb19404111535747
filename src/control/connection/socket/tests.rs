use std::pin::pin;

use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

use super::*;

type Client = WebSocketStream<DuplexStream>;

struct Ours {
    outbox: Arc<Outbox>,
    budget: Arc<Budget>,
    frames: mpsc::Receiver<Received>,
}

fn settings() -> ControlSettings {
    ControlSettings { max_payload: 10_000, max_preauth_payload: 1000, max_buffered_bytes: 5000, ..Default::default() }
}

/// Runs a socket next to `peer`, which plays the client; gives how the socket ended.
async fn against<F: Future<Output = ()>>(settings: ControlSettings, peer: impl FnOnce(Client, Ours) -> F) -> Ending {
    let (theirs, ours) = duplex(512);
    let outbox = Arc::new(Outbox::new(settings.max_buffered_bytes));
    let budget = Budget::new(settings.max_preauth_payload + PREAUTH_OVERHEAD);
    let (sender, frames) = mpsc::channel(100);
    let wiring = Wiring {
        outbox: Arc::clone(&outbox),
        inbox: Arc::default(),
        budget: Arc::clone(&budget),
        settings: Arc::new(settings),
    };
    let client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
    let socket = run(ours, wiring, move |received| drop(sender.try_send(received)));
    let (ending, ()) = tokio::join!(socket, peer(client, Ours { outbox, budget, frames }));
    ending
}

async fn close_of(client: &mut Client) -> (u16, String) {
    loop {
        match client.next().await {
            Some(Ok(Message::Close(Some(frame)))) => return (frame.code.into(), frame.reason.to_string()),
            Some(Ok(_)) => {}
            other => panic!("no close but {other:?}"),
        }
    }
}

#[tokio::test]
async fn frames_pass_both_ways_and_bytes_that_are_text_are_text() {
    let ending = against(settings(), |mut client, mut ours| async move {
        client.send(Message::text("one")).await.unwrap();
        client.send(Message::binary(b"two".to_vec())).await.unwrap();
        assert_eq!(ours.frames.recv().await.unwrap().text, "one");
        assert_eq!(ours.frames.recv().await.unwrap().text, "two");
        ours.outbox.push("three".to_owned());
        assert_eq!(client.next().await.unwrap().unwrap(), Message::text("three"));
        client.close(None).await.unwrap();
    });
    assert_eq!(ending.await, Ending::Peer);
}

#[tokio::test]
async fn a_flood_before_authentication_ends_with_1009_and_a_reason() {
    // One frame over the payload limit, one over the budget, and many small ones.
    for sizes in [vec![1001], vec![8000], vec![200; 60]] {
        let ending = against(settings(), |mut client, _ours| async move {
            for size in &sizes {
                client.send(Message::text("x".repeat(*size))).await.ok();
            }
            assert_eq!(close_of(&mut client).await, (1009, "preauth payload too large".to_owned()), "{sizes:?}");
        });
        assert_eq!(ending.await, Ending::Oversize);
    }
}

#[tokio::test]
async fn after_authentication_frames_are_bigger_but_bounded() {
    let ending = against(settings(), |mut client, mut ours| async move {
        ours.budget.lift();
        client.send(Message::text("x".repeat(9000))).await.unwrap();
        assert_eq!(ours.frames.recv().await.unwrap().text.len(), 9000);
        client.send(Message::text("x".repeat(10_001))).await.unwrap();
        assert_eq!(close_of(&mut client).await, (1009, String::new()));
    });
    assert_eq!(ending.await, Ending::Oversize);
}

#[tokio::test]
async fn a_slow_reader_is_closed_with_1008() {
    let settings = ControlSettings { close_grace: Duration::from_secs(60), ..settings() };
    let ending = against(settings, |mut client, ours| async move {
        // 128 KiB wait in the codec and 512 bytes on the way before anything waits here.
        for _ in 0..100 {
            ours.outbox.push("x".repeat(2000));
            tokio::task::yield_now().await;
        }
        assert_eq!(close_of(&mut client).await, (1008, "slow consumer".to_owned()));
    });
    assert_eq!(ending.await, Ending::Ours);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_cut_off_after_two_intervals() {
    let started = Instant::now();
    let ending = against(settings(), |client, ours| async move {
        sleep(Duration::from_secs(60)).await;
        drop((client, ours));
    });
    let mut ending = pin!(ending);
    let end = timeout(Duration::from_secs(100), &mut ending).await.unwrap();
    assert_eq!(end, Ending::Silent);
    assert!(started.elapsed() >= Duration::from_secs(50));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_pings_stays() {
    let ending = against(settings(), |mut client, _ours| async move {
        for _ in 0..4 {
            // Reading a ping answers it.
            assert!(client.next().await.unwrap().unwrap().is_ping());
        }
        client.close(None).await.unwrap();
    });
    assert_eq!(ending.await, Ending::Peer);
}

#[tokio::test(start_paused = true)]
async fn a_close_comes_after_what_waits_and_never_hangs_on_a_stuck_peer() {
    let ending = against(settings(), |mut client, ours| async move {
        ours.outbox.push("last words".to_owned());
        ours.outbox.close(Close::service_restart());
        assert_eq!(client.next().await.unwrap().unwrap(), Message::text("last words"));
        assert_eq!(close_of(&mut client).await, (1012, "service restart".to_owned()));
    });
    assert_eq!(ending.await, Ending::Ours);

    let stuck = against(settings(), |client, ours| async move {
        ours.outbox.push("x".repeat(4000));
        ours.outbox.close(Close::service_restart());
        sleep(Duration::from_secs(10)).await;
        drop(client);
    });
    assert_eq!(stuck.await, Ending::Ours);
}

#[tokio::test]
async fn reading_pauses_while_the_actor_is_behind() {
    let ending = against(settings(), |mut client, mut ours| async move {
        ours.budget.lift();
        let mut held = Vec::new();
        for _ in 0..64 {
            client.send(Message::text("x")).await.unwrap();
            held.push(ours.frames.recv().await.unwrap());
        }
        client.send(Message::text("y")).await.unwrap();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(ours.frames.try_recv().is_err());
        held.pop();
        assert_eq!(ours.frames.recv().await.unwrap().text, "y");
        client.close(None).await.unwrap();
    });
    assert_eq!(ending.await, Ending::Peer);
}
