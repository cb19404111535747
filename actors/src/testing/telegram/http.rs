//! Just enough HTTP/1.1: requests with a length, answers with a length, connections that stay.

use std::io;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::answer::{self, Answer};
use super::world::{self, Shared};

/// Longest body that is read.
const MAX_BODY: usize = 1024 * 1024;

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        shared.world().open += 1;
        drop(world::spawn(async move {
            tokio::select! {
                () = shared.closed() => {}
                result = serve(stream, &shared) => {
                    if let Err(error) = result {
                        tracing::trace!(%error, "fake connection ended");
                    }
                }
            }
            shared.world().open -= 1;
            shared.changed();
        }));
    }
}

async fn serve(stream: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some((path, body)) = read_request(&mut stream).await? {
        if path == super::PROBE {
            return Ok(());
        }
        match answer::answer(&path, &body, shared).await {
            Answer::Cut => return Ok(()),
            Answer::Truncated(bytes) => {
                let half = &bytes[..bytes.len() / 2];
                write(&mut stream, 200, "application/json", half, bytes.len()).await?;
                return Ok(());
            }
            Answer::Json(status, bytes) => {
                write(&mut stream, status, "application/json", &bytes, bytes.len()).await?;
            }
            Answer::Html(status) => {
                let page = b"<html><body><h1>Bad Gateway</h1></body></html>";
                write(&mut stream, status, "text/html", page, page.len()).await?;
            }
        }
    }
    Ok(())
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<(String, Value)>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let path = line.split_whitespace().nth(1).unwrap_or("/").to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        if stream.read_line(&mut header).await? == 0 {
            return Ok(None);
        }
        let header = header.trim();
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    if length > MAX_BODY {
        return Err(io::Error::other("body too long"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some((path, serde_json::from_slice(&body).unwrap_or(Value::Null))))
}

async fn write(
    stream: &mut BufReader<TcpStream>,
    status: u16,
    kind: &str,
    body: &[u8],
    length: usize,
) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.flush().await
}
