//! Mailboxes.

use futures_util::Stream;
use paired_mls_api::{DeviceId, Envelope, MailboxItem, MailboxPage, path};

use crate::{Client, ClientError, ClientKey, request::Request, subscription::Subscription};

impl<K: ClientKey> Client<K> {
    /// Puts an envelope into a device's mailbox. If nobody knows whether it is there it is not put there
    /// a second time.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoAnswer`], [`ClientError::Unavailable`]: it may be there.
    /// [`ClientError::Refused`]: no such device, or its mailbox is full.
    pub async fn post(&self, to: &DeviceId, envelope: &Envelope) -> Result<(), ClientError> {
        let bytes = envelope.as_bytes().to_vec();
        let request = Request::post(path::of_device(path::DEVICE_MAILBOX, to))
            .bytes("application/octet-stream", bytes)
            .never_blindly_again();
        self.ask(request).await?.nothing()
    }

    /// The items of this device's mailbox after a position, `limit` at most, or as many as the service
    /// gives at once, and 4 MiB of them.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn items(&self, after: u64, limit: Option<u32>) -> Result<MailboxPage, ClientError> {
        self.page(path::MAILBOX, after, limit).await
    }

    /// Drops the items up to a position: they were processed.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn ack(&self, through: u64) -> Result<(), ClientError> {
        self.ask(Request::delete(path::MAILBOX).with("through", through)).await?.nothing()
    }

    /// The items of this device's mailbox after a position, and then as they come, each once and in
    /// their order. The stream reconnects by itself and resumes after its last item.
    ///
    /// It holds an error where it ends for good, and one for each attempt after five in a row have
    /// failed: whoever reads on waits until the service is back.
    pub fn mailbox_events(
        &self,
        after: u64,
    ) -> impl Stream<Item = Result<MailboxItem, ClientError>> + Unpin + use<K> {
        Subscription::new(self.clone(), path::MAILBOX_EVENTS.to_owned(), after.into()).stream()
    }
}
