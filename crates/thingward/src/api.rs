//! The service's API as a client: on the administration socket, or over TLS with a token.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use thingward_agent::http::{Endpoint, HTTPS_PORT};
use thingward_pki::tls::{ALPN_HTTP, ExpectedServer, client_config};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use crate::failure::Failure;
use crate::order::{ORDER, Token};

/// Largest JSON answer that is held in memory, in bytes. A page of 10 000 readings has about 4 MB.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How long an answer's beginning may take. A question over all of history takes its time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// Where the service is.
pub(crate) enum Target {
    /// On this machine; whoever opens the socket may do everything.
    Socket(PathBuf),
    /// Elsewhere.
    Url {
        /// Host and port.
        endpoint: Endpoint,
        /// The installation's root certificate in DER.
        root: Vec<u8>,
        /// As whom.
        token: Token,
    },
}

/// A client of the API. One connection for each request.
pub(crate) struct Api(Target);

impl Api {
    pub(crate) const fn new(target: Target) -> Self {
        Self(target)
    }

    /// Asks, and reads a JSON answer; null when the answer has none.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
    ) -> Result<Json, Failure> {
        let response = self.send(method, path, body).await?;
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|e| Failure::Failed(format!("the answer broke off: {e}")))?.to_bytes();
        if body.is_empty() {
            return Ok(Json::Null);
        }
        serde_json::from_slice(&body).map_err(|e| Failure::Failed(format!("the answer is no JSON: {e}")))
    }

    /// Fetches `path`.
    pub(crate) async fn get(&self, path: &str) -> Result<Json, Failure> {
        self.call(Method::GET, path, None).await
    }

    /// Sends `body` to `path`.
    pub(crate) async fn post(&self, path: &str, body: &Json) -> Result<Json, Failure> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// All items of a list, page by page.
    pub(crate) async fn list(&self, path: &Path) -> Result<Vec<Json>, Failure> {
        let (mut items, mut next) = (Vec::new(), None);
        loop {
            let page = path.clone().query("limit", Some("1000")).query("after", next.as_deref());
            let mut page = self.get(page.as_str()).await?;
            if let Some(Json::Array(more)) = page.get_mut("items").map(Json::take) {
                items.extend(more);
            }
            match page.get("next").and_then(Json::as_str) {
                Some(after) => next = Some(after.to_owned()),
                None => return Ok(items),
            }
        }
    }

    /// Asks, and gives the body whole.
    pub(crate) async fn fetch(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let body = Limited::new(self.stream(path).await?.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok(body.map_err(|e| Failure::Failed(format!("the answer broke off: {e}")))?.to_bytes().to_vec())
    }

    /// Asks, and gives the body as it comes.
    pub(crate) async fn stream(&self, path: &str) -> Result<Response<Incoming>, Failure> {
        self.send(Method::GET, path, None).await
    }

    /// Asks, and again with a signature when the answer is that it takes one; twice, for when what it is over changes
    /// meanwhile.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Json>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut response = self.exchange(&method, path, body, None).await?;
        for _ in 0..2 {
            let (StatusCode::PRECONDITION_REQUIRED, Target::Url { token, .. }) = (response.status(), &self.0)
            else {
                break;
            };
            let answer = read_json(response).await.unwrap_or_default();
            let order = answer.get("order").and_then(Json::as_str).unwrap_or_default();
            response = self.exchange(&method, path, body, Some(token.sign(&method, path, order)?)).await?;
        }
        if response.status().is_success() { Ok(response) } else { Err(refused(response).await) }
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Json>,
        order: Option<String>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::builder().method(method).uri(path).header("accept", "*/*");
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        if let Some(order) = order {
            request = request.header(ORDER, order);
        }
        let content = Full::new(Bytes::from(body.map(Json::to_string).unwrap_or_default()));
        match &self.0 {
            Target::Socket(socket) => {
                let stream = UnixStream::connect(socket).await.map_err(|e| unreachable_socket(socket, &e))?;
                let request = request.header("host", "thingward").body(content).map_err(Failure::of)?;
                exchange(stream, request).await
            }
            Target::Url { endpoint, root, token } => {
                let trust_domain = thingward_agent::enrol::trust_domain(root).map_err(Failure::of)?;
                let tls = client_config(root, &trust_domain, ExpectedServer::Service, None, ALPN_HTTP);
                let stream = endpoint.connect(tls.map_err(Failure::of)?).await;
                let stream =
                    stream.map_err(|e| Failure::Unreachable(format!("cannot reach {endpoint}: {e}")))?;
                let request = request
                    .header("host", endpoint.to_string())
                    .header("authorization", format!("Bearer {}", token.bearer.as_str()));
                exchange(stream, request.body(content).map_err(Failure::of)?).await
            }
        }
    }
}

fn unreachable_socket(path: &std::path::Path, e: &std::io::Error) -> Failure {
    let text = format!("cannot reach the service at {}: {e}", path.display());
    match e.kind() {
        std::io::ErrorKind::PermissionDenied => Failure::NotPermitted(text),
        _ => Failure::Unreachable(format!("{text}; start it, or name one with --socket or --url")),
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broke = |e: hyper::Error| Failure::Unreachable(format!("the connection broke off: {e}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broke)?;
    tokio::spawn(connection);
    match tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request)).await {
        Ok(response) => response.map_err(broke),
        Err(_) => Err(Failure::Unreachable("the service does not answer".to_owned())),
    }
}

async fn read_json(response: Response<Incoming>) -> Option<Json> {
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    serde_json::from_slice(&body.ok()?.to_bytes()).ok()
}

/// What an answer that is no success says.
async fn refused(response: Response<Incoming>) -> Failure {
    let status = response.status();
    let body = read_json(response).await;
    let said = body.as_ref().and_then(|b| b.pointer("/error/message")).and_then(Json::as_str);
    let text = said.map_or_else(|| format!("the service answers {status}"), str::to_owned);
    match status {
        StatusCode::NOT_FOUND => Failure::NotFound(text),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::LOCKED => Failure::NotPermitted(text),
        StatusCode::SERVICE_UNAVAILABLE => Failure::Unreachable(text),
        _ => Failure::Failed(text),
    }
}

/// Where `--url` points.
pub(crate) fn endpoint(url: &str) -> Result<Endpoint, Failure> {
    Endpoint::parse(url, HTTPS_PORT).map_err(|e| Failure::Usage(format!("--url: {e}")))
}

/// A path of the API whose parts are encoded as they are added.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    text: String,
    has_query: bool,
}

impl Path {
    pub(crate) fn new(parts: &[&str]) -> Self {
        let mut text = "/api/v1".to_owned();
        for part in parts {
            text.push('/');
            encode(part, &mut text);
        }
        Self { text, has_query: false }
    }

    /// Adds a query parameter, when there is a value for it.
    pub(crate) fn query(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.text.push(if self.has_query { '&' } else { '?' });
            self.has_query = true;
            self.text.push_str(name);
            self.text.push('=');
            encode(value, &mut self.text);
        }
        self
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// RFC 3986 §2: everything but the unreserved characters becomes `%xx`.
fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_path_cannot_become_other_parts() {
        let path =
            Path::new(&["tenants", "a/../b", "devices"]).query("from", Some("1&2=3")).query("to", None);
        assert_eq!(path.as_str(), "/api/v1/tenants/a%2F..%2Fb/devices?from=1%262%3D3");
    }
}
