//! What the service says of itself.

use paired_mls_api::{Problem, ProblemKind, ServiceView, path};

use crate::{Client, ClientError, ClientKey, request::Request};

/// A body of as many bytes is taken by every service.
const SHORT: usize = 64 << 10;

impl<K: ClientKey> Client<K> {
    /// The names and limits of the service.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn service(&self) -> Result<ServiceView, ClientError> {
        self.ask(Request::get(path::SERVICE)).await?.json()
    }

    /// Refuses a body that the service would refuse, before it is sent. The limit is asked for once, when
    /// there is a long body for the first time; if the service does not say it, the body is sent.
    pub(crate) async fn fits(&self, request: &Request) -> Result<(), ClientError> {
        let length = request.body.len();
        if length <= SHORT {
            return Ok(());
        }
        let asked = self.longest_body().get_or_try_init(|| async {
            let view: ServiceView = self.ask_any(&Request::get(path::SERVICE)).await?.json()?;
            Ok::<_, ClientError>(view.limits.body)
        });
        let Ok(limit) = asked.await else { return Ok(()) };
        if u64::try_from(length).is_ok_and(|length| length <= *limit) {
            return Ok(());
        }
        let mut problem = Problem::new(ProblemKind::TooLarge);
        let detail = format!("a body has {limit} bytes at most, and this one has {length}");
        problem.detail = Some(detail);
        Err(ClientError::Refused(Box::new(problem)))
    }
}
