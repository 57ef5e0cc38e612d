//! Mailboxes.

use paired_mls_api::{DeviceId, Envelope, MailboxItem, ProblemKind};

use crate::{cast::Service, messages::random};

fn content(item: &MailboxItem) -> Vec<u8> {
    Envelope::decode(item.envelope.0.clone()).unwrap().content().to_vec()
}

#[tokio::test]
async fn items_are_fetched_and_dropped() {
    let service = Service::start().await;
    let (alice, bob) = (service.device("alice").await, service.device("bob").await);
    for text in ["one", "two", "three"] {
        let envelope = Envelope::seal(text.as_bytes()).unwrap();
        alice.post(bob.device(), &envelope).await.unwrap();
    }
    let page = bob.items(0, Some(2)).await.unwrap();
    assert_eq!(page.items.iter().map(content).collect::<Vec<_>>(), [b"one", b"two"]);
    let last = page.items[1].position;
    bob.ack(last).await.unwrap();
    let page = bob.items(0, None).await.unwrap();
    assert_eq!(page.items.iter().map(content).collect::<Vec<_>>(), [b"three"]);
    let position = page.items[0].position;
    assert_eq!(bob.items(position, None).await.unwrap().items, []);
    assert_eq!(alice.items(0, None).await.unwrap().items, []);

    let nobody = DeviceId::new(random::<32>()).unwrap();
    let envelope = Envelope::seal(b"hello").unwrap();
    let error = alice.post(&nobody, &envelope).await.unwrap_err();
    assert_eq!(error.problem(), Some(ProblemKind::UnknownRecipient));
    service.stop().await;
}
