//! Readings as they come.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use thingward_model::TenantName;
use thingward_store::query::Filter;
use thingward_store::{Record, StoreError};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;

use super::super::app::App;
use super::super::body::{PIECE_TIMEOUT, Pieces, stream_response};
use super::super::caller::{Credential, Params, Reading, Shown};
use super::super::error::{ApiError, ErrorBody};
use super::readings::ReadingParams;
use super::view::ReadingView;

/// How often what a follower showed and the tenant's key are looked at again.
const RECHECK: Duration = Duration::from_secs(5);
/// Records that wait for a slow reader here; behind it the core's own bound counts.
const RECORDS_WAITING_MAX: usize = 64;

/// Follow readings
///
/// JSON Lines without end: each accepted reading as it comes, with the assurance that it has on arrival. A line
/// `{"skipped":n}` stands for n records that came faster than they were read; a query has them. Ends when the
/// token, the session or the tenant's key does.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/readings/follow", tag = "readings",
    params(("tenant" = String, Path), ReadingParams),
    responses(
        (status = 200, description = "A line each", body = ReadingView, content_type = "application/jsonl"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn follow(
    State(app): State<Arc<App>>,
    reading: Reading,
    shown: Shown,
    Params(params): Params<ReadingParams>,
) -> Result<Response, ApiError> {
    params.without_page()?;
    let (filter, tenant) = (params.filter(reading.reader)?, reading.tenant);
    let place = app.follower_place()?;
    app.shared.store.keys().get(&tenant)?;
    let records = app.shared.core.follow(tenant);
    let (to, rest) = mpsc::channel(RECORDS_WAITING_MAX);
    let follower = Follower { app, tenant, filter, shown, to };
    tokio::spawn(async move {
        let _place = place;
        follower.run(records).await;
    });
    Ok(stream_response("application/jsonl", Pieces { first: None, rest }))
}

struct Follower {
    app: Arc<App>,
    tenant: TenantName,
    filter: Filter,
    shown: Shown,
    to: mpsc::Sender<Result<Bytes, StoreError>>,
}

impl Follower {
    async fn run(self, mut records: broadcast::Receiver<Arc<Record>>) {
        let mut recheck = tokio::time::interval(RECHECK);
        loop {
            let piece = tokio::select! {
                () = self.to.closed() => return,
                _ = recheck.tick() => {
                    if !self.may_go_on().await { return }
                    continue;
                }
                next = records.recv() => match next {
                    Ok(record) => self.lines(&record),
                    Err(RecvError::Lagged(n)) => format!("{{\"skipped\":{n}}}\n").into_bytes(),
                    Err(RecvError::Closed) => return,
                },
            };
            // The key may be gone since the record was accepted.
            if self.app.shared.store.keys().get(&self.tenant).is_err() {
                return;
            }
            if !piece.is_empty() && self.to.send_timeout(Ok(piece.into()), PIECE_TIMEOUT).await.is_err() {
                return;
            }
        }
    }

    async fn may_go_on(&self) -> bool {
        let credential = Credential::of(&self.shown, &self.app).await;
        let may = credential.is_ok_and(|credential| credential.enter(self.tenant).is_ok());
        may && self.app.shared.store.keys().get(&self.tenant).is_ok()
    }

    fn lines(&self, record: &Record) -> Vec<u8> {
        let mut lines = Vec::new();
        for row in record.clone().into_rows().filter(|row| self.filter.takes(row)) {
            // A view of plain text and numbers always encodes.
            if serde_json::to_writer(&mut lines, &ReadingView::from(row)).is_ok() {
                lines.push(b'\n');
            }
        }
        lines
    }
}
