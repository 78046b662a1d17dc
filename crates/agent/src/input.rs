//! Local programs: lines of JSON over a Unix socket that only the agent's user may open. They hand over readings, and
//! execute what the device is told to do.
//!
//! ```text
//! > {"stream":"climate","values":{"temperature":{"value":21.5,"unit":"Cel"},"door":"open","count":3}}
//! < {"durable":true}
//! > {"status":true}
//! < {"status":{...}}
//! > {"next_action":true}
//! < {"action":{"id":"07…","name":"set-rate","input":1.5,"actor":"…","expires":"…"}}   once there is one
//! > {"done":"07…","output":{"rate":1.5}}     or {"failed":"07…","reason":"the drive is stuck"}
//! < {"answered":true}
//! ```
//!
//! An action is answered over the connection that took it. What a connection leaves unanswered at its end is answered
//! as interrupted.

mod line;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use thingward_model::clock::now;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::agent::{Action, AgentHandle, AgentStatus};
use crate::commands::hex;
pub use line::{InputError, Request, parse};

/// Longest line in bytes.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
const CONNECTIONS_MAX: usize = 64;
/// Most actions that a connection has taken and not answered.
const ACTIONS_MAX: usize = 16;

/// A listening socket; gone when dropped.
pub struct InputServer {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Drop for InputServer {
    fn drop(&mut self) {
        self.task.abort();
        let _already_gone = fs::remove_file(&self.path);
    }
}

/// Listens at `path` for the agent. A socket that an earlier process left there is replaced: the home's lock says
/// that nobody serves it.
///
/// MUST be called inside a tokio runtime.
///
/// # Errors
///
/// What the system says.
pub fn serve(agent: AgentHandle, path: &Path) -> io::Result<InputServer> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // Until here the home's mode of 0700 keeps others away.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    let task = tokio::spawn(accept(listener, agent));
    Ok(InputServer { path: path.to_owned(), task })
}

async fn accept(listener: UnixListener, agent: AgentHandle) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Connections end with the server.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let agent = agent.clone();
                connections.spawn(async move {
                    if let Err(error) = converse(stream, &agent).await {
                        tracing::debug!(%error, "local connection");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "local socket");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: UnixStream, agent: &AgentHandle) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    let mut taken = BTreeMap::new();
    loop {
        line.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        (&mut read).take(limit).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Ok(());
        }
        let is_whole = line.pop_if(|b| *b == b'\n').is_some();
        let is_too_long = !is_whole && line.len() > LINE_BYTES_MAX;
        let mut answer = match parse(&line, now()) {
            _ if is_too_long => failure(&InputError::TooLong),
            Ok(Request::NextAction) => tokio::select! {
                answer = next_action(agent, &mut taken) => answer,
                // Nobody is left to take it.
                is_gone = gone(&mut read) => match is_gone {
                    true => return Ok(()),
                    false => failure(&ActionError::Impatient),
                },
            },
            request => answer(agent, &mut taken, request).await,
        };
        answer.push('\n');
        write.write_all(answer.as_bytes()).await?;
        if is_too_long {
            return Ok(());
        }
    }
}

/// Why an action is not given, or its end not taken.
#[derive(Debug, thiserror::Error)]
enum ActionError {
    #[error("this connection has not taken an action {0}")]
    NotTaken(String),
    #[error("this connection has {ACTIONS_MAX} actions to answer already")]
    TooMany,
    #[error("the connection said something else before there was an action")]
    Impatient,
}

/// Actions that a connection has taken, by their ids.
type Taken = BTreeMap<String, Action>;

async fn next_action(agent: &AgentHandle, taken: &mut Taken) -> String {
    if taken.len() >= ACTIONS_MAX {
        return failure(&ActionError::TooMany);
    }
    let action = agent.next_action().await;
    let order = action.order();
    let id = hex(&order.id);
    let shown = json!({
        "id": id,
        "name": order.action.as_str(),
        "input": order.input,
        "actor": order.actor,
        "expires": order.expires.to_string(),
    });
    taken.insert(id, action);
    json!({"action": shown}).to_string()
}

/// Waits until the other end says something, and says whether it is gone instead.
async fn gone(read: &mut BufReader<OwnedReadHalf>) -> bool {
    read.fill_buf().await.is_ok_and(<[u8]>::is_empty)
}

async fn answer(agent: &AgentHandle, taken: &mut Taken, request: Result<Request, InputError>) -> String {
    match request {
        Ok(Request::Record { stream, readings }) => match agent.record(stream, readings).await {
            Ok(_) => json!({"durable": true}).to_string(),
            Err(error) => failure(&error),
        },
        Ok(Request::Status) => match agent.status().await {
            Ok(status) => json!({"status": status_json(&status)}).to_string(),
            Err(error) => failure(&error),
        },
        Ok(Request::NextAction) => next_action(agent, taken).await,
        Ok(Request::Done { id, output }) => match taken.remove(&id) {
            Some(action) => {
                action.done(output).await;
                json!({"answered": true}).to_string()
            }
            None => failure(&ActionError::NotTaken(id)),
        },
        Ok(Request::Failed { id, reason }) => match taken.remove(&id) {
            Some(action) => {
                action.failed(&reason).await;
                json!({"answered": true}).to_string()
            }
            None => failure(&ActionError::NotTaken(id)),
        },
        Err(error) => failure(&error),
    }
}

fn failure(error: &dyn std::error::Error) -> String {
    json!({"error": error.to_string()}).to_string()
}

/// A status as the socket and the CLI show it.
#[must_use]
pub fn status_json(status: &AgentStatus) -> Value {
    let streams: Vec<Value> = status
        .streams
        .iter()
        .map(|s| json!({"name": s.name.as_str(), "messages": s.messages, "bytes": s.bytes}))
        .collect();
    json!({
        "tenant": status.principal.tenant.as_str(),
        "role": status.principal.role.as_str(),
        "name": status.principal.name.as_str(),
        "key": STANDARD.encode(status.key.to_spki()),
        "uplink": {
            "to": status.uplink_to.to_string(),
            "online": status.uplink.online,
            "since": status.uplink.since.to_string(),
            "delivered": status.uplink.delivered,
            "refused": status.uplink.refused,
            "last_error": status.uplink.last_error,
        },
        "streams": streams,
        "commands": status.commands.map(|c| {
            json!({"waiting": c.waiting, "started": c.started, "replies": c.replies})
        }),
        "keys": status.key_store.to_string(),
        "certificate": {
            "expires": status.certificate_expires.to_string(),
            "renewal_error": status.renewal_error,
        },
    })
}

/// The other end of the socket, for the CLI.
pub struct InputClient {
    stream: BufReader<UnixStream>,
}

impl InputClient {
    /// Connects to the agent that listens at `path`.
    ///
    /// # Errors
    ///
    /// What the system says; kind `NotFound` or `ConnectionRefused` when no agent runs.
    pub async fn connect(path: &Path) -> io::Result<Self> {
        Ok(Self { stream: BufReader::new(UnixStream::connect(path).await?) })
    }

    /// Sends one request and waits for its answer.
    ///
    /// # Errors
    ///
    /// What the system says; kind `Other` with the agent's words when it refuses.
    pub async fn request(&mut self, request: &Value) -> io::Result<Value> {
        self.stream.write_all(format!("{request}\n").as_bytes()).await?;
        let mut line = String::new();
        // The agent is of the same user; a status of 64 streams has a few KiB.
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let answer: Value = serde_json::from_str(&line)?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => Err(io::Error::other(error.to_owned())),
            None => Ok(answer),
        }
    }
}
