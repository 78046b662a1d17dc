//! The way to the NATS servers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::ConnectOptions;
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType, Stream};
use async_nats::jetstream::{self, Context};
use thiserror::Error;
use zeroize::Zeroizing;

/// How long one question to the servers may take before it is asked again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a connection without traffic is tried: one that is dead is noticed after two.
const PING: Duration = Duration::from_secs(2);
/// How long something is tried again before it has failed: longer than the servers need to choose a leader among themselves.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Between two tries.
pub(crate) const AGAIN: Duration = Duration::from_millis(100);

/// Where the NATS servers are, and how they know this node.
#[derive(Clone)]
pub struct Place {
    /// Their addresses, as `tls://nats-1.example:4222`.
    pub servers: Vec<String>,
    /// TLS to them.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// User and password, where certificates are not how they know it.
    pub login: Option<(String, Zeroizing<String>)>,
    /// What streams and subjects of this installation begin with. Letters, digits and `-`.
    pub prefix: String,
    /// On how many servers each thing is: 1, 3 or 5.
    pub replicas: usize,
}

/// NATS does not do what is needed.
#[derive(Debug, Error)]
#[error("NATS: {what}: {source}")]
pub struct NatsError {
    what: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl NatsError {
    pub(crate) fn of<E: std::error::Error + Send + Sync + 'static>(
        what: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self { what, source: Box::new(source) }
    }
}

/// A connection to the servers: to all of them in turn, as long as this lives.
#[derive(Clone)]
pub struct Nats {
    pub(crate) jetstream: Context,
    pub(crate) prefix: String,
    pub(crate) replicas: usize,
}

impl Nats {
    /// Connects to one of the servers, and to another when that one is gone.
    ///
    /// # Errors
    ///
    /// [`NatsError`] when none of them answers or lets this node in.
    pub async fn connect(place: &Place) -> Result<Self, NatsError> {
        let mut options = ConnectOptions::new()
            .name("thingward")
            .ping_interval(PING)
            .connection_timeout(ANSWER_TIMEOUT)
            .request_timeout(Some(ANSWER_TIMEOUT))
            .reconnect_delay_callback(|attempts| Duration::from_millis(50 << attempts.min(5)));
        if let Some(tls) = &place.tls {
            options = options.require_tls(true).tls_client_config((**tls).clone());
        }
        if let Some((user, password)) = &place.login {
            options = options.user_and_password(user.clone(), password.to_string());
        }
        let client = options.connect(&place.servers).await.map_err(NatsError::of("connect"))?;
        let jetstream = jetstream::new(client);
        Ok(Self { jetstream, prefix: place.prefix.clone(), replicas: place.replicas })
    }

    /// Finds a bucket of keys and values, or makes it; what is in it ends after `max_age`, where that is said.
    ///
    /// # Errors
    ///
    /// [`NatsError`].
    pub(crate) async fn bucket(&self, name: &str, max_age: Option<Duration>) -> Result<Store, NatsError> {
        // As the client library makes one, which asks servers for something that they say since 2.11 only.
        let config = Config {
            name: format!("KV_{name}"),
            subjects: vec![format!("$KV.{name}.>")],
            max_messages_per_subject: 1,
            max_age: max_age.unwrap_or_default(),
            duplicate_window: max_age.unwrap_or_default(),
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            num_replicas: self.replicas,
            allow_rollup: true,
            deny_delete: true,
            ..Config::default()
        };
        self.stream("make a bucket", config).await?;
        patiently("open a bucket", || self.jetstream.get_key_value(name)).await
    }

    /// Finds a stream, or makes it. One that is there has to keep what is in it as `wanted` says.
    ///
    /// # Errors
    ///
    /// [`NatsError`].
    pub(crate) async fn stream(&self, what: &'static str, wanted: Config) -> Result<Stream, NatsError> {
        let stream = patiently(what, || self.jetstream.get_or_create_stream(wanted.clone())).await?;
        match differs(&stream.cached_info().config, &wanted) {
            None => Ok(stream),
            Some(differs) => Err(NatsError::of(what)(OtherStream { name: wanted.name, differs })),
        }
    }
}

/// A stream that somebody made, or that was made for another number of servers.
#[derive(Debug, Error)]
#[error(
    "the stream {name} has another {differs} than this configuration asks for; `nats stream edit` changes it, or, where it \
     cannot, another `nats_prefix` makes another stream"
)]
struct OtherStream {
    name: String,
    differs: &'static str,
}

/// What of a stream would keep less than is asked for, or on fewer servers.
fn differs(is: &Config, wanted: &Config) -> Option<&'static str> {
    // Servers say -1 for no bound.
    let bounds = |of: &Config| {
        [of.max_bytes, of.max_messages, of.max_messages_per_subject, of.max_message_size.into()]
            .map(|bound| bound.max(0))
    };
    let parts = [
        ("number of replicas", is.num_replicas == wanted.num_replicas),
        ("storage", is.storage == wanted.storage),
        ("retention", is.retention == wanted.retention),
        ("discard policy", is.discard == wanted.discard),
        ("age limit", is.max_age == wanted.max_age),
        ("limit of bytes or messages", bounds(is) == bounds(wanted)),
        ("`deny_delete`", is.deny_delete == wanted.deny_delete),
        ("list of subjects", is.subjects == wanted.subjects),
    ];
    parts.into_iter().find_map(|(name, is_same)| (!is_same).then_some(name))
}

/// Asks again while the servers agree on something among themselves.
pub(crate) async fn patiently<T, E, F>(what: &'static str, mut ask: impl FnMut() -> F) -> Result<T, NatsError>
where
    E: std::error::Error + Send + Sync + 'static,
    F: Future<Output = Result<T, E>>,
{
    let start = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if start.elapsed() > PATIENCE => return Err(NatsError::of(what)(error)),
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}
