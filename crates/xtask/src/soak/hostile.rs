//! Clients that misbehave, from one address: their requests are bounded in number and time.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};

use crate::Failure;

/// Sockets that one of them holds open at once.
const SOCKETS: usize = 40;
const PAUSE: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(2);

/// Goes through its tricks until it is told to stop. What fails is the service's right.
pub(super) async fn live(address: SocketAddr, number: usize, stopped: watch::Receiver<bool>) {
    let mut held = Vec::new();
    let mut round = number;
    while !*stopped.borrow() {
        let _ = match round % 5 {
            0 => half_headers(address, &mut held).await,
            1 => invented_method(address, round).await,
            2 => long_body(address).await,
            3 => junk_signature(address, round).await,
            _ => slow_body(address, &mut held).await,
        };
        if held.len() > SOCKETS {
            held.drain(..SOCKETS / 2);
        }
        round += 1;
        sleep(PAUSE).await;
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    Ok(timeout(PATIENCE, TcpStream::connect(address)).await??)
}

async fn half_headers(address: SocketAddr, held: &mut Vec<TcpStream>) -> Result<(), Failure> {
    for _ in 0..8 {
        let mut socket = connect(address).await?;
        socket.write_all(b"POST /v1/groups HTTP/1.1\r\nHost: half\r\nX-").await?;
        held.push(socket);
    }
    Ok(())
}

async fn invented_method(address: SocketAddr, round: usize) -> Result<(), Failure> {
    for number in 0..8 {
        let head = format!(
            "M{round}X{number} /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        );
        ask(address, head.as_bytes(), &[]).await?;
    }
    Ok(())
}

async fn long_body(address: SocketAddr) -> Result<(), Failure> {
    let length = 64 << 20;
    let head = format!("POST /v1/groups HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    ask(address, head.as_bytes(), &vec![b'{'; 1 << 20]).await
}

async fn junk_signature(address: SocketAddr, round: usize) -> Result<(), Failure> {
    let body = format!("{{\"round\":{round}}}");
    let head = format!(
        "POST /v1/groups HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nContent-Digest: sha-256=:AAAA:\r\n\
         Signature-Input: pmls=(\"@method\");created=1;nonce=\"n\";keyid=\"k\";tag=\"paired-mls\"\r\n\
         Signature: pmls=:AAAA:\r\nConnection: close\r\n\r\n",
        body.len()
    );
    ask(address, head.as_bytes(), body.as_bytes()).await
}

async fn slow_body(address: SocketAddr, held: &mut Vec<TcpStream>) -> Result<(), Failure> {
    let mut socket = connect(address).await?;
    socket
        .write_all(b"POST /v1/groups HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n{")
        .await?;
    held.push(socket);
    Ok(())
}

async fn ask(address: SocketAddr, head: &[u8], body: &[u8]) -> Result<(), Failure> {
    let mut socket = connect(address).await?;
    socket.write_all(head).await?;
    socket.write_all(body).await?;
    let mut answer = [0; 512];
    timeout(PATIENCE, socket.read(&mut answer)).await??;
    Ok(())
}
