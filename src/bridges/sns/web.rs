//! One request, and what its answer means.

use std::error::Error as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use crossdock_aws::outward::Post;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::percent_decode_str;

use super::doorway::Doorway;

/// Connections that wait for the next message to the same host, and how long.
const IDLE_MAX: usize = 4;
const IDLE_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of an answer's head, and of its body before the connection is closed instead.
const HEAD_BYTES_MAX: usize = 32 << 10;
const BODY_BYTES_MAX: usize = 64 << 10;

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The endpoint has it.
    Accepted,
    /// It will not have it, and asking again is no use.
    Refused(String),
    /// It may have it another time.
    Failed(String),
}

/// Sends requests.
pub(super) struct Web {
    client: Client<Doorway, Full<Bytes>>,
    timeout: Duration,
}

impl Web {
    pub(super) fn new(doorway: Doorway, timeout: Duration) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_TIME_MAX).pool_max_idle_per_host(IDLE_MAX);
        builder.http1_max_buf_size(HEAD_BYTES_MAX);
        Self { client: builder.build(doorway), timeout }
    }

    /// Redirects are not followed.
    pub(super) async fn post(&self, post: Post) -> Outcome {
        let request = match request(post) {
            Ok(request) => request,
            Err(error) => return Outcome::Refused(format!("{error:#}")),
        };
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(Ok(status)) => judge(status),
            Ok(Err(error)) => Outcome::Failed(error),
            Err(_) => Outcome::Failed(format!("no answer in {} ms", self.timeout.as_millis())),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<StatusCode, String> {
        let response = self.client.request(request).await.map_err(|error| {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            format!("{error}: {cause}")
        })?;
        let status = response.status();
        // What it says is nobody's business, but a connection can be used again only when all is read.
        let mut body = response.into_body();
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > BODY_BYTES_MAX {
                break;
            }
        }
        Ok(status)
    }
}

/// Errors that are the endpoint's opinion of the message are final.
fn judge(status: StatusCode) -> Outcome {
    match status {
        status if status.is_success() => Outcome::Accepted,
        StatusCode::TOO_MANY_REQUESTS => Outcome::Failed(status.to_string()),
        status if status.is_client_error() => Outcome::Refused(status.to_string()),
        status => Outcome::Failed(status.to_string()),
    }
}

fn request(post: Post) -> Result<Request<Full<Bytes>>> {
    let uri: Uri = post.url.parse().context("not a URL")?;
    let authority = uri.authority().context("a URL without a host")?.as_str();
    let (credentials, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let scheme = uri.scheme_str().unwrap_or("http");
    let mut builder = Request::builder().method(Method::POST).uri(format!("{scheme}://{host}{path}"));
    for (name, value) in &post.headers {
        builder = builder.header(*name, value);
    }
    if let Some(credentials) = credentials {
        let decoded: Vec<u8> = percent_decode_str(credentials).collect();
        builder = builder.header("authorization", format!("Basic {}", BASE64.encode(decoded)));
    }
    builder.body(Full::new(post.body)).context("not a request")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_sns_takes_them_for() {
        let of = |status: u16| judge(StatusCode::from_u16(status).expect("a status"));
        assert!([200, 201, 204, 299].into_iter().all(|status| of(status) == Outcome::Accepted));
        assert!([400, 401, 404, 410, 499].into_iter().all(|status| matches!(of(status), Outcome::Refused(_))));
        assert!([301, 302, 307, 429, 500, 503].into_iter().all(|status| matches!(of(status), Outcome::Failed(_))));
    }

    #[test]
    fn credentials_become_a_header() {
        let post =
            Post { url: "http://us%40er:pa:ss@example.com:81/p?q".to_owned(), headers: vec![], body: Bytes::new() };
        let request = request(post).expect("good");
        assert_eq!(request.uri().to_string(), "http://example.com:81/p?q");
        assert_eq!(request.headers()["authorization"], format!("Basic {}", BASE64.encode("us@er:pa:ss")));
    }
}
