//! Requests that read, signed and not.
//!
//! The clients share the processors with the service. So each is measured in two ways: signed by its client when it
//! is sent, and signed ahead of the time that is measured; and of each it is said what time the service itself
//! has spent on it.

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use paired_mls_api::{Fields, Target, path, sign_request};
use tokio::task::JoinSet;

use super::{
    Failure,
    client::{Client, Key, random, register_with, seconds_now, write_to_itself},
    rate::Served,
    repeated, served,
};
use crate::service::Service;

/// What a client asks for.
const QUERY: &str = "after=0";

/// Measures and prints.
pub(super) async fn measure(
    service: &Service,
    clients: usize,
    time: Duration,
) -> Result<(), Failure> {
    let address = service.address();
    let (client, key) = register_with(address).await?;
    let key = Arc::new(key);
    let unsigned = served(service, repeated(clients, time, || unsigned(address))).await?;
    println!("  unsigned GET:   {unsigned}");
    // The first finds nothing new, as most do; the second finds a letter.
    signed(service, (&client, &key), &unsigned, "nothing", (clients, time)).await?;
    write_to_itself(&client).await?;
    signed(service, (&client, &key), &unsigned, "a letter", (clients, time)).await
}

/// The same of requests that are signed when they are sent, and of those that are signed ahead.
async fn signed(
    service: &Service,
    (client, key): (&Client, &Arc<Key>),
    unsigned: &Served,
    finds: &str,
    (clients, time): (usize, Duration),
) -> Result<(), Failure> {
    let say = |name: &str, read: &Served| {
        let (rate, each) = (read.rate.rate / unsigned.rate.rate, read.each() / unsigned.each());
        println!("  {name} {read}; {rate:.2} of unsigned by rate, {each:.1} times its time");
    };
    let read = served(service, repeated(clients, time, || reader(client))).await?;
    say(&format!("signed GET of {finds}:"), &read);
    // More than can be sent in that time, also if others have left the machine meanwhile.
    let most = (3 * read.rate.done()).max(2 * unsigned.rate.done());
    let each = most / clients + 100;
    let address = service.address();
    let mut ahead = ahead(key, address, clients, each).await?.into_iter();
    let read = repeated(clients, time, || sender(address, ahead.next().unwrap_or_default()));
    let read = served(service, read).await?;
    say("… signed ahead:", &read);
    Ok(())
}

/// Something that is under way.
type Act = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// Asks something that is signed by nobody, and needs no database.
fn unsigned(address: SocketAddr) -> impl FnMut() -> Act {
    let (client, url) = (reqwest::Client::new(), format!("http://{address}{}", path::LIVE));
    move || {
        let request = client.get(&url).send();
        Box::pin(async move {
            request.await?.error_for_status()?.bytes().await?;
            Ok(())
        })
    }
}

/// Reads its mailbox.
fn reader(client: &Client) -> impl FnMut() -> Act + use<> {
    let client = client.clone();
    move || {
        let client = client.clone();
        Box::pin(async move {
            client.items(0, None).await?;
            Ok(())
        })
    }
}

/// Signs requests for the mailbox, as many for each client.
async fn ahead(
    key: &Arc<Key>,
    address: SocketAddr,
    clients: usize,
    each: usize,
) -> Result<Vec<Vec<Fields>>, Failure> {
    let mut signers = JoinSet::new();
    for _ in 0..clients {
        let (key, authority) = (Arc::clone(key), address.to_string());
        signers.spawn_blocking(move || {
            let target =
                Target { method: "GET", authority: &authority, path: path::MAILBOX, query: QUERY };
            let sign = |_| Ok(sign_request(&*key, target, b"", seconds_now()?, &random()?)?);
            (0..each).map(sign).collect::<Result<Vec<_>, Failure>>()
        });
    }
    signers.join_all().await.into_iter().collect()
}

/// Sends what was signed ahead.
fn sender(address: SocketAddr, signed: Vec<Fields>) -> impl FnMut() -> Act {
    let client = reqwest::Client::new();
    let url = format!("http://{address}{}?{QUERY}", path::MAILBOX);
    let mut signed = signed.into_iter();
    move || {
        let request = signed.next().map(|fields| {
            client
                .get(&url)
                .header("content-digest", fields.content_digest)
                .header("signature-input", fields.signature_input)
                .header("signature", fields.signature)
                .send()
        });
        Box::pin(async move {
            let answer = request.ok_or("too few requests were signed ahead")?;
            answer.await?.error_for_status()?.bytes().await?;
            Ok(())
        })
    }
}
