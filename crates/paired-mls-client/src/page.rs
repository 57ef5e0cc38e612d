//! Pages of a log or mailbox.

use serde::de::DeserializeOwned;

use crate::{Client, ClientError, ClientKey, request::Request};

/// How many bytes of entries or items are asked for at once. What the service gives is bounded by what
/// the client reads of an answer at all.
const PAGE: u64 = 4 << 20;

/// How many entries or items are asked for, if nobody has said it and a page was too long.
const FEW: u32 = 64;

impl<K: ClientKey> Client<K> {
    /// A page that can be read. If it is too long all the same, half as many are asked for, down to one:
    /// whoever reads on comes past it.
    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        after: u64,
        limit: Option<u32>,
    ) -> Result<T, ClientError> {
        let mut limit = limit;
        loop {
            let request = Request::get(path).with("after", after).with("bytes", PAGE);
            match self.ask(request.limited(limit)).await {
                Err(ClientError::TooLong { .. }) if limit != Some(1) => {
                    limit = Some(limit.map_or(FEW, |limit| (limit / 2).max(1)));
                }
                answer => return answer?.json(),
            }
        }
    }
}
