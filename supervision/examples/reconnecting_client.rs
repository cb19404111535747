//! A client that keeps a connection: it backs off while the server is down, gives up, is restarted by hand, and comes
//! back by itself each time the server hangs up.
//!
//! Run with `cargo run -p supervision --example reconnecting_client`.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use supervision::prelude::*;
use supervision::tree::NodeState;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

const PATIENCE: Duration = Duration::from_secs(5);

/// Three tries, each after twice the time; a connection that held for a minute counts as a fresh start.
fn backoff() -> BackoffPolicy {
    BackoffPolicy {
        initial: Duration::from_millis(200),
        max: Duration::from_secs(2),
        factor: 2.0,
        jitter: Jitter::Additive(0.1),
        max_attempts: Some(3),
        reset_after: ResetRule::Stable(Duration::from_secs(60)),
        window: None,
        on_exhausted: Exhausted::GiveUp,
    }
}

/// Reads lines until told to stop. Everything else is an error, and what follows from it is not the client's business.
async fn client(server: SocketAddr, ctx: TaskCtx) -> Result<(), BoxError> {
    let stop = ctx.cancel();
    let mut lines = BufReader::new(TcpStream::connect(server).await?).lines();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            line = lines.next_line() => match line? {
                Some(line) => ctx.set_detail("heard", line),
                None => return Err("the server hung up".into()),
            }
        }
    }
}

/// Greets every client; hangs up on the first two, keeps the third.
async fn server(socket: TcpSocket) -> Result<(), BoxError> {
    let listener = socket.listen(8)?;
    let mut kept = Vec::new();
    for visit in 1.. {
        let (mut connection, _) = listener.accept().await?;
        connection.write_all(format!("welcome, visit {visit}\n").as_bytes()).await?;
        if visit > 2 {
            kept.push(connection);
        }
    }
    Ok(())
}

/// Follows the client in the tree and writes down each new state until the wanted one.
async fn follow(tree: &TreeStore, out: &mut impl Write, wanted: impl Fn(&NodeState, &str) -> bool) -> io::Result<()> {
    let mut changes = tree.subscribe();
    let mut last = String::new();
    while let Some(node) = tree.node(&"root/client".into()) {
        let heard = node.detail.get("heard").map_or("", String::as_str);
        let why = node.last_exit.as_ref().map_or("", |exit| &exit.text);
        let line = {
            let (state, start, retry) = (node.state.as_str(), node.incarnation, node.attempt);
            format!("{state} (start {start}, retry {retry}) last heard {heard:?}, last ended by {why:?}")
        };
        if line != last {
            writeln!(out, "{line}")?;
        }
        if wanted(&node.state, heard) {
            break;
        }
        last = line;
        changes.next().await;
    }
    Ok(())
}

pub(crate) async fn run(out: &mut impl Write) -> Result<(), BoxError> {
    // Bound but not listening: whoever connects is refused.
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let address = socket.local_addr()?;
    let id = ChildId::from("client");
    let tree = TreeStore::new();
    let spec = SupervisorSpec {
        children: vec![
            ChildSpec::task(id.clone(), "client", move |ctx| client(address, ctx)).counts(false).backoff(backoff()),
        ],
        ..SupervisorSpec::default()
    };
    let root = Supervisor::start_root(spec, tree.clone()).await?;

    writeln!(out, "-- the server is down")?;
    follow(&tree, out, |state, _| *state == NodeState::Failed).await?;

    writeln!(out, "-- the server is up, and the client restarted by hand")?;
    let served = server(socket);
    let visited = async {
        root.restart_child(&id).await?;
        follow(&tree, out, |state, heard| *state == NodeState::Running && heard.ends_with("visit 3")).await?;
        Ok::<(), BoxError>(())
    };
    tokio::select! {
        ended = served => ended?,
        ended = visited => ended?,
    }
    let report = root.shutdown(PATIENCE).await;
    writeln!(out, "-- stopped, {} stragglers", report.stragglers.len())?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    run(&mut io::stdout()).await
}
