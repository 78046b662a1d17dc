//! The thread that makes readings durable. Callers that come while it writes share the next write.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thingward_model::StreamName;
use thingward_model::clock::now;
use tokio::sync::{Notify, mpsc, oneshot};

use super::actions::Actions;
use super::streams::Streams;
use super::{Durable, NewRecord, RecordError, lock};

/// How often streams look whether a checkpoint is due, or a reading is too old.
const TICK: Duration = Duration::from_secs(1);
/// Most commands that share a write.
const BATCH_MAX: usize = 1024;

type Reply = oneshot::Sender<Result<Durable, RecordError>>;

/// What the thread is asked to do.
pub(super) enum Command {
    /// Make records durable.
    Append { stream: StreamName, records: Vec<NewRecord>, reply: Reply },
    /// Sign what the stream has, whether or not it has waited long.
    Sign { stream: StreamName, reply: oneshot::Sender<Result<(), RecordError>> },
    /// Sign what has waited long enough, and drop what has waited too long.
    Tick,
    /// Close all streams and end.
    Stop { reply: oneshot::Sender<Result<(), RecordError>> },
}

/// Starts the thread. It ends when it is told to, or when nobody is left who could tell it anything.
pub(super) fn start(
    streams: Arc<Mutex<Streams>>,
    actions: Option<Actions>,
    mut commands: mpsc::Receiver<Command>,
    wake: Arc<Notify>,
) -> std::io::Result<()> {
    let work = move || {
        let mut batch = Vec::new();
        while let Some(first) = commands.blocking_recv() {
            batch.push(first);
            while batch.len() < BATCH_MAX
                && let Ok(next) = commands.try_recv()
            {
                batch.push(next);
            }
            let is_tick = batch.iter().any(|command| matches!(command, Command::Tick));
            let stop = serve(&mut lock(&streams), batch.drain(..));
            if let Some(actions) = actions.as_ref().filter(|_| is_tick) {
                actions.with(|commands| commands.save());
            }
            wake.notify_one();
            if let Some(reply) = stop {
                commands.close();
                let closed = lock(&streams).close(now());
                wake.notify_one();
                let _caller_gone = reply.send(closed);
                return;
            }
        }
    };
    std::thread::Builder::new().name("thingward-spool".to_owned()).spawn(work).map(drop)
}

fn serve(
    streams: &mut Streams,
    batch: impl Iterator<Item = Command>,
) -> Option<oneshot::Sender<Result<(), RecordError>>> {
    let now = now();
    let mut waiting: BTreeMap<StreamName, Vec<Reply>> = BTreeMap::new();
    let mut stop = None;
    for command in batch {
        match command {
            Command::Append { stream, records, reply } => match streams.push(&stream, &records, now) {
                Ok(()) => waiting.entry(stream).or_default().push(reply),
                Err(error) => {
                    // Records in front of the one that failed may have been taken.
                    waiting.entry(stream).or_default();
                    let _caller_gone = reply.send(Err(error));
                }
            },
            Command::Sign { stream, reply } => {
                let _caller_gone = reply.send(streams.sign(&stream, now));
            }
            Command::Tick => streams.tick(now),
            Command::Stop { reply } => stop = Some(reply),
        }
    }
    for (stream, replies) in waiting {
        let result = streams.commit(&stream, now).map(|backlog_bytes| Durable { backlog_bytes });
        for reply in replies {
            let _caller_gone = reply.send(result.clone());
        }
    }
    stop
}

/// Sends a tick every second, for as long as somebody else sends too.
pub(super) async fn tick(commands: mpsc::WeakSender<Command>) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(commands) = commands.upgrade() else { return };
        if commands.send(Command::Tick).await.is_err() {
            return;
        }
    }
}
